"""From events of the kernel to flow records with names, equal ones counted together. Pure.

Numbers are explained here: identities and addresses by the snapshot, rule numbers by the table that made them, a
default deny by the policy behind the event's set. Redirected flows are counted only: their record comes from the proxy,
which sees the request. The store is bounded; under pressure allows make room for denials and the pod with most records
for the others, and what is lost is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from agent.datapath.tables import FlowEvent
from agent.desired import Numbers
from agent.state import NodeState
from mesh.layouts import DropReason
from mesh.layouts import Verdict as KernelVerdict
from mesh.model import (
    Action,
    Address,
    Direction,
    FlowRecord,
    IdentityId,
    Layer,
    Party,
    PolicySet,
    Protocol,
    RuleRef,
    Verdict,
)
from mesh.policy.http import prepare
from mesh.policy.prefixes import host_prefix

LIMIT = 4096
"""Distinct records held between two batches."""

_DECIDED_BY_POLICY = (DropReason.DROP_POLICY_DENY, DropReason.DROP_POLICY_DEFAULT, DropReason.DROP_POLICY_CHANGED)
_NAMED = frozenset(int(p) for p in Protocol)


def drop_reason(number: int) -> str:
    """`policy-default` for DROP_POLICY_DEFAULT; an unknown number stays readable."""
    try:
        return DropReason(number).name.removeprefix("DROP_").lower().replace("_", "-")
    except ValueError:
        return f"reason-{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What explains numbers at this moment."""

    state: NodeState
    numbers: Numbers
    policy_of: Callable[[int, int], PolicySet | None]
    """By set number and endpoint: pods whose policies compile to the same entries share a set."""


def record_of(event: FlowEvent, names: Names, *, id: str, wall_ns: int) -> FlowRecord | None:
    """The record of one event; None for a redirect, which the proxy records."""
    if event.verdict == KernelVerdict.VERDICT_REDIRECT:
        return None
    allowed = event.verdict == KernelVerdict.VERDICT_ALLOW
    direction = Direction(event.direction)
    protocol = Protocol(event.protocol) if event.protocol in _NAMED else Protocol.ANY
    return FlowRecord(
        id=id,
        time_ns=wall_ns,
        node=names.state.snapshot.node,
        direction=direction,
        verdict=Verdict.ALLOW if allowed else Verdict.DENY,
        layer=Layer.L3L4,
        protocol=protocol,
        source=_party(names, event.source, event.sport, event.src_identity),
        destination=_party(names, event.destination, event.dport, event.dst_identity),
        service=(names.numbers.services.item(event.service) or "") if event.service else "",
        drop_reason="" if allowed else drop_reason(event.reason),
        rules=_rules(event, names, direction, allowed=allowed),
    )


def _rules(event: FlowEvent, names: Names, direction: Direction, *, allowed: bool) -> tuple[RuleRef, ...]:
    """The rules that decided; where none did, the policies that made the direction default deny."""
    policy = names.policy_of(event.policy_set, event.endpoint)
    if event.reason == DropReason.DROP_NEEDS_PROXY_NOW and policy is not None:
        about_requests = {rule.ref for rule in policy.towards(direction).rules if rule.http is not None}
        return tuple(rule for rule in _matched(event, names) if rule in about_requests)
    if not allowed and event.reason not in _DECIDED_BY_POLICY:
        return ()
    if not allowed and policy is not None:
        # An entry's rules also hold those about requests; the semantics say which of all refused a connection.
        peer = event.dst_identity if direction is Direction.EGRESS else event.src_identity
        half = prepare(policy.towards(direction), IdentityId(peer), event.protocol, event.dport).settled
        if half is not None and half.verdict is Verdict.DENY:
            return half.decided_by
    wanted = Action.ALLOW if allowed else Action.DENY
    return tuple(rule for rule in _matched(event, names) if rule.action is wanted)


def _matched(event: FlowEvent, names: Names) -> tuple[RuleRef, ...]:
    """All rules of the entries that the kernel found, whatever they say."""
    numbers = (names.numbers.rules.item(number) or () for number in (event.rules_peer, event.rules_any))
    return tuple(dict.fromkeys(rule for rules in numbers for rule in rules))


def _party(names: Names, address: Address, port: int, identity: int) -> Party:
    snapshot = names.state.snapshot
    entry = snapshot.ipcache.get(host_prefix(address))
    namespace, pod = "", ""
    if entry is not None and entry.pod:
        namespace, _, pod = entry.pod.partition("/")
    known = snapshot.identities.get(IdentityId(identity))
    return Party(
        namespace=namespace or (known.namespace if known is not None else ""),
        pod=pod,
        service_account=known.service_account if known is not None else "",
        identity=IdentityId(identity),
        ip=str(address),
        port=port,
    )


def completed(record: FlowRecord, names: Names) -> FlowRecord:
    """A record of the proxy's with the names that it does not hold: pods of other nodes."""
    source, destination = (_named(names, party) for party in (record.source, record.destination))
    return replace(record, source=source, destination=destination)


def _named(names: Names, party: Party) -> Party:
    if party.pod or not party.ip:
        return party
    known = _party(names, ip_address(party.ip), party.port, party.identity)
    return replace(party, namespace=known.namespace, pod=known.pod, service_account=known.service_account)


class FlowLog:
    """Records that wait for the next batch to the controller."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._held: dict[tuple[object, ...], FlowRecord] = {}
        self._by_pod: Counter[tuple[str, str]] = Counter()
        self._denials = 0
        self._lost = 0
        self.lost_total = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, record: FlowRecord) -> None:
        key = _sameness(record)
        held = self._held.get(key)
        if held is not None:
            self._held[key] = replace(held, count=held.count + record.count)
            return
        if len(self._held) >= self._limit and not self._make_room(record):
            self.lose(record.count)
            return
        self._held[key] = record
        self._by_pod[_pod(record)] += 1
        self._denials += record.verdict is Verdict.DENY

    def lose(self, count: int) -> None:
        """Count records that could not be kept, here or in the kernel's ring."""
        self._lost += count
        self.lost_total += count

    def take(self, most: int) -> tuple[list[FlowRecord], int]:
        """The oldest records, and how many were lost since the last time."""
        keys = list(self._held)[:most]
        lost, self._lost = self._lost, 0
        return [self._take(key) for key in keys], lost

    def _take(self, key: tuple[object, ...]) -> FlowRecord:
        record = self._held.pop(key)
        pod = _pod(record)
        self._by_pod[pod] -= 1
        self._denials -= record.verdict is Verdict.DENY
        if not self._by_pod[pod]:
            del self._by_pod[pod]
        return record

    def _make_room(self, record: FlowRecord) -> bool:
        """At the cost of an allow, else of the pod that has most records: a scan makes one for each port it tries."""
        if record.verdict is not Verdict.DENY:
            return False
        if self._denials < len(self._held):
            victim = next(key for key, held in self._held.items() if held.verdict is not Verdict.DENY)
        else:
            [(loudest, most)] = self._by_pod.most_common(1)
            if most <= self._by_pod[_pod(record)] + 1:
                return False
            victim = next(key for key, held in self._held.items() if _pod(held) == loudest)
        self.lose(self._take(victim).count)
        return True


def _pod(record: FlowRecord) -> tuple[str, str]:
    """Whose record it is: the sending pod's, and where no pod sent, the receiving one's."""
    party = record.source if record.source.pod else record.destination
    return party.namespace, party.pod


def _sameness(record: FlowRecord) -> tuple[object, ...]:
    """Records that agree in all of this are one; a client's port and the time differ from connection to connection."""
    source = record.source
    return (
        record.node,
        record.direction,
        record.verdict,
        record.layer,
        record.protocol,
        (source.namespace, source.pod, source.identity, source.ip),
        record.destination,
        record.service,
        record.drop_reason,
        record.rules,
        record.http,
    )
