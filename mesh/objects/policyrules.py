"""Rules, peers and ports: what NetworkPolicy and MeshPolicy have in common, read once.

A rule here still speaks of selectors; `mesh.policy` resolves it to identities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mesh.model import Action, Direction, HttpMatch, Prefix, Protocol
from mesh.objects.names import loose_cidr, prefix
from mesh.objects.podspec import PROTOCOLS
from mesh.objects.reader import Reader
from mesh.objects.selectors import LabelSelector, read_selector
from mesh.objects.services import read_port

DIRECTIONS = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}


@dataclass(frozen=True, slots=True, kw_only=True)
class IpBlock:
    cidr: Prefix
    excepts: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One entry of `from` or `to`: everything that is given must hold. A block stands alone."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    """None beside a pod selector: the policy's own namespace."""
    block: IpBlock | None = None
    accounts: tuple[str, ...] = ()
    """`namespace/name`, any of them."""
    entities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPort:
    protocol: Protocol = Protocol.TCP
    port: int | str | None = None
    """Number, name of a container port, or None for every port of the protocol."""
    end_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    index: int
    """Place in the list: `ingress[0]`."""
    name: str = ""
    action: Action = Action.ALLOW
    peers: tuple[Peer, ...] | None = None
    """None: anyone."""
    ports: tuple[PolicyPort, ...] = ()
    """Empty: every port."""
    http: tuple[HttpMatch, ...] | None = None


def read_policy_types(spec: Reader) -> tuple[Direction, ...] | None:
    """What the author named; None where nothing was."""
    words = spec.texts("policyTypes", _direction_reason)
    found = tuple(dict.fromkeys(DIRECTIONS[word] for word in words))
    return found if spec.raw("policyTypes") else None


def _direction_reason(text: str) -> str | None:
    return None if text in DIRECTIONS else f"{text[:80]!r} is not Ingress or Egress"


def read_peers(reader: Reader, name: str, read: Callable[[Reader], Peer]) -> tuple[Peer, ...] | None:
    """The peers of a rule; missing or empty means anyone."""
    peers = tuple(read(item) for item in reader.each(name))
    return peers if reader.raw(name) else None


def read_selecting_peer(reader: Reader) -> Peer:
    """`podSelector`, `namespaceSelector` and `ipBlock` of a peer. The caller reads its own fields and closes."""
    pods = read_selector(reader.inside("podSelector")) if reader.has("podSelector") else None
    namespaces = read_selector(reader.inside("namespaceSelector")) if reader.has("namespaceSelector") else None
    block = _read_block(reader.inside("ipBlock")) if reader.has("ipBlock") else None
    if block is not None and (pods is not None or namespaces is not None):
        reader.refuse("ipBlock", "stands alone: it cannot be combined with selectors")
    reader.skip("podSelector", "namespaceSelector", "ipBlock")
    return Peer(pod_selector=pods, namespace_selector=namespaces, block=block)


def _read_block(reader: Reader) -> IpBlock | None:
    wide = prefix(reader.text("cidr", check=loose_cidr)) if reader.require("cidr") else None
    excepts = []
    for index, text in enumerate(reader.texts("except", loose_cidr)):
        narrow = prefix(text)
        if narrow is None or wide is None:
            continue
        inside = narrow.version == wide.version and narrow.subnet_of(wide)  # type: ignore[arg-type] # same family
        if not inside or narrow == wide:
            reader.report.add((*reader.path, "except", index), f"{text} does not lie inside {wide}")
        excepts.append(narrow)
    reader.close()
    return None if wide is None else IpBlock(cidr=wide, excepts=tuple(excepts))


def read_ports(reader: Reader) -> tuple[PolicyPort, ...]:
    return tuple(_read_port(item) for item in reader.each("ports"))


def _read_port(reader: Reader) -> PolicyPort:
    protocol = PROTOCOLS[reader.choice("protocol", tuple(PROTOCOLS), default="TCP")]
    port = read_port(reader, "port")
    end = reader.number("endPort", 1, 65535)
    if reader.has("endPort") and not isinstance(reader.raw("port"), int):
        reader.refuse("endPort", "needs a numeric port")
    elif end is not None and isinstance(port, int) and end < port:
        reader.refuse("endPort", f"{end} is below port {port}")
    reader.close()
    return PolicyPort(protocol=protocol, port=port, end_port=end)
