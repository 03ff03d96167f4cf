"""What a node says when it is asked: endpoints, flows, the contents of a map, as JSON rows. Pure; keys are promised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.datapath.conntrack import state_name
from agent.datapath.mapnames import BY_ENDPOINT, SHAPES, map_of
from agent.datapath.tables import CtEntry, CtKey, EndpointEntry
from agent.endpoints import Life
from agent.errors import QuestionRefused
from agent.flows import drop_reason
from agent.mapwords import CT_FLAGS, MapWords, flag_words
from agent.state import NodeState
from mesh.model import Direction, Protocol

Row = dict[str, Any]

MOST_ROWS = 50_000
"""Of one answer: a larger map is cut, and the answer says so."""

COUNTERS = "mesh_counters"
POLICY = "mesh_policy"
_PROTOCOLS = {int(protocol): protocol.name for protocol in Protocol}


def endpoint_rows(state: NodeState, lives: Mapping[str, Life], entries: Mapping[int, EndpointEntry]) -> list[Row]:
    """`entries`: what the kernel holds, by the endpoint's number."""
    rows: list[Row] = []
    for key, local in sorted(state.local.items()):
        subject = state.policy_subject(key)
        entry = entries.get(local.id)
        addresses = subject.addresses if subject is not None else ()
        rows.append(
            {
                "namespace": local.namespace,
                "pod": local.name,
                "state": lives.get(key, Life.GONE).value,
                "enforced": subject.enforced if subject is not None else True,
                "id": local.id,
                "serviceAccount": subject.service_account if subject is not None else "",
                "identities": list(dict.fromkeys(int(identity) for _, identity in addresses)),
                "ips": [str(address) for address, _ in addresses],
                "ifname": local.ifname,
                "hostIfname": local.host_ifname,
                "ifindex": local.ifindex,
                "netns": local.netns,
                "policy": str(subject.policy) if subject is not None else "",
                "policySet": entry.policy_set if entry is not None else 0,
                "epoch": entry.epoch if entry is not None else 0,
            }
        )
    return rows


def flow_rows(flows: Iterable[tuple[CtKey, CtEntry]], names: dict[int, str], now_ns: int) -> tuple[list[Row], bool]:
    """Rows, and whether some were left out."""
    rows: list[Row] = []
    for key, entry in flows:
        if len(rows) >= MOST_ROWS:
            return rows, True
        name = names.get(key.endpoint, "")
        rows.append(
            {
                "endpoint": name or str(key.endpoint),
                "namespace": name.partition("/")[0],
                "direction": Direction(key.direction).name.lower(),
                "protocol": _PROTOCOLS.get(key.protocol, str(key.protocol)),
                "source": str(key.source),
                "sport": key.sport,
                "destination": str(key.destination),
                "dport": key.dport,
                "state": state_name(key, entry),
                "flags": flag_words(entry.flags, CT_FLAGS),
                "packets": entry.packets,
                "bytes": entry.bytes,
                "epoch": entry.epoch,
                "peerIdentity": entry.peer_identity,
                "expiresInSeconds": max(0, round((entry.expires_ns - now_ns) / 1e9)),
            }
        )
    return rows, False


def map_asked(name: str) -> str:
    """The map that a person means. QuestionRefused names those there are."""
    found = map_of(name)
    if found is None:
        known = ", ".join(known.removeprefix("mesh_") for known in sorted(SHAPES))
        raise QuestionRefused(f"no map is called {name!r}; there are: {known}")
    return found


def map_rows(name: str, entries: Iterable[tuple[Row, Row]], words: MapWords) -> tuple[list[Row], bool]:
    """Rows of a map by its own name, and whether some were left out."""
    rows: list[Row] = []
    for key, value in entries:
        if name in BY_ENDPOINT and not any(value.values()):
            continue  # an array has a place for every number, used or not
        if len(rows) >= MOST_ROWS:
            return rows, True
        row = {"key": _counted(key) if name == COUNTERS else _worded(key), "value": _worded(value)}
        said = {"key": words.of_key(name, row["key"]), "value": words.of_value(name, row["value"])}
        rows.append(row | {"words": said})
    return rows, False


def _counted(key: Row) -> Row:
    """An index of the counters as what it counts."""
    reason, direction = divmod(key["value"], len(Direction))
    return {"reason": drop_reason(reason), "direction": Direction(direction).name.lower()}


def _worded(fields: Row) -> Row:
    """Fields of a layout under JSON's names; directions and protocols in the words of all other listings."""
    return {_camel_case(name): _word(name, value) for name, value in fields.items()}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _word(name: str, value: Any) -> Any:
    if name == "direction" and value in tuple(Direction):
        return Direction(value).name.lower()
    if isinstance(value, list):
        return [_worded(item) if isinstance(item, dict) else item for item in value]
    return _PROTOCOLS.get(value, value) if name == "protocol" else value
