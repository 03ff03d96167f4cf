"""From the rules of policy objects to resolved rules, for one subject.

Egress rules are the same for every subject; ingress rules differ only by the numbers behind the subject's named ports.
What is resolved is kept, so a policy that selects a thousand pods is resolved once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from mesh.model import (
    EVERY_PORT,
    Direction,
    DirectionPolicy,
    Grant,
    PolicyKey,
    PolicySet,
    PortRange,
    Protocol,
    ResolvedRule,
    RuleRef,
)
from mesh.objects.meshpolicy import MeshPolicy
from mesh.objects.networkpolicy import NetworkPolicy
from mesh.objects.policyrules import PolicyPort, PolicyRule
from mesh.policy.peers import NONE, Numbers, PeerIndex

Policy = NetworkPolicy | MeshPolicy
NamedPorts = tuple[tuple[str, Protocol, int], ...]

_WORD = {Direction.INGRESS: "ingress", Direction.EGRESS: "egress"}


def rules_of(policy: Policy, direction: Direction) -> tuple[PolicyRule, ...]:
    """The rules that have an effect in a direction."""
    if isinstance(policy, NetworkPolicy) and direction not in policy.policy_types:
        return ()
    return policy.ingress if direction is Direction.INGRESS else policy.egress


def denies_by_default(policy: Policy, direction: Direction) -> bool:
    return direction in (policy.policy_types if isinstance(policy, NetworkPolicy) else policy.default_deny)


class RuleResolver:
    """Resolves policies against one state of identities."""

    def __init__(self, peers: PeerIndex) -> None:
        self._peers = peers
        self._rules: dict[tuple[str, str, Direction, NamedPorts], tuple[ResolvedRule, ...]] = {}
        self._sets: dict[tuple[tuple[tuple[str, str], ...], NamedPorts], PolicySet] = {}

    def policy_set(self, policies: tuple[Policy, ...], named_ports: NamedPorts) -> PolicySet:
        """The policy of a pod that exactly these policies select and that has these named ports."""
        if not any(_names_a_port(policy) for policy in policies):
            named_ports = ()
        at = (tuple((policy.kind, policy.key) for policy in policies), named_ports)
        known = self._sets.get(at)
        if known is None:
            known = self._sets[at] = make_set(
                egress=self._direction(policies, Direction.EGRESS, ()),
                ingress=self._direction(policies, Direction.INGRESS, named_ports),
            )
        return known

    def _direction(self, policies: tuple[Policy, ...], direction: Direction, named: NamedPorts) -> DirectionPolicy:
        closing = [policy for policy in policies if denies_by_default(policy, direction)]
        return DirectionPolicy(
            default_deny=bool(closing),
            selected_by=tuple(RuleRef(policy=policy.key, kind=policy.kind) for policy in closing),
            rules=tuple(rule for policy in policies for rule in self._resolved(policy, direction, named)),
        )

    def _resolved(self, policy: Policy, direction: Direction, named: NamedPorts) -> tuple[ResolvedRule, ...]:
        at = (policy.kind, policy.key, direction, named)
        known = self._rules.get(at)
        if known is None:
            rules = (self._rule(policy, direction, rule, named) for rule in rules_of(policy, direction))
            # A rule that no peer or no port is left of says nothing.
            known = self._rules[at] = tuple(rule for rule in rules if rule.grants)
        return known

    def _rule(self, policy: Policy, direction: Direction, rule: PolicyRule, named: NamedPorts) -> ResolvedRule:
        peers = self._peers.resolve(rule.peers, policy.metadata.namespace)
        ref = RuleRef(
            policy=policy.key,
            kind=policy.kind,
            rule=f"{_WORD[direction]}[{rule.index}]",
            name=rule.name,
            action=rule.action,
        )
        grants = self._grants(peers, rule, direction, named)
        return ResolvedRule(ref=ref, action=rule.action, grants=grants, http=rule.http)

    def _grants(
        self, peers: Numbers | None, rule: PolicyRule, direction: Direction, named: NamedPorts
    ) -> tuple[Grant, ...]:
        if peers is not None and not peers:
            return ()
        if not rule.ports:
            # Requests travel over TCP: a rule about requests says nothing of other protocols.
            return (Grant(peers, (EVERY_PORT if rule.http is None else PortRange(Protocol.TCP),)),)
        ranges: list[PortRange] = []
        grants: list[Grant] = []
        for port in rule.ports:
            if not isinstance(port.port, str):
                ranges.append(_range(port))
            elif direction is Direction.INGRESS:
                ranges += _on_subject(port.port, port.protocol, named)
            else:
                grants += self._on_peers(port.port, port.protocol, peers)
        if ranges:
            grants.insert(0, Grant(peers, tuple(dict.fromkeys(ranges))))
        return tuple(grants)

    def _on_peers(self, name: str, protocol: Protocol, peers: Numbers | None) -> Iterable[Grant]:
        """A named port of an egress rule means another number for each peer that has it."""
        for number, having in sorted(self._peers.with_port(name, protocol).items()):
            meant = frozenset(having) if peers is None else peers & having
            if meant != NONE:
                yield Grant(meant, (PortRange(protocol, number, number),))


def _names_a_port(policy: Policy) -> bool:
    return any(isinstance(port.port, str) for rule in policy.ingress for port in rule.ports)


def _range(port: PolicyPort) -> PortRange:
    if not isinstance(port.port, int):
        return PortRange(port.protocol)
    return PortRange(port.protocol, port.port, port.end_port or port.port)


def _on_subject(name: str, protocol: Protocol, named: NamedPorts) -> list[PortRange]:
    """The subject's own container ports of that name."""
    return [PortRange(protocol, number, number) for at, kind, number in named if (at, kind) == (name, protocol)]


def make_set(*, egress: DirectionPolicy, ingress: DirectionPolicy) -> PolicySet:
    """A policy set whose key is a digest of what it says."""
    digest = hashlib.sha256()
    for part in (egress, ingress):
        digest.update(_text(part).encode())
        digest.update(b"\0")
    return PolicySet(key=PolicyKey(digest.hexdigest()[:20]), egress=egress, ingress=ingress)


def _text(part: DirectionPolicy) -> str:
    """Everything a direction says, in one spelling: sets have no order of their own."""
    rules = [
        (
            rule.ref,
            rule.action,
            [(None if grant.peers is None else sorted(grant.peers), grant.ports) for grant in rule.grants],
            rule.http,
        )
        for rule in part.rules
    ]
    return repr((part.default_deny, part.selected_by, rules))
