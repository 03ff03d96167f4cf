"""What a node is told in a benchmark: snapshots as the controller would send them, of a chosen size.

The sizes are those of the targets in docs/performance.md; the policies are shaped like real ones: many rules, each for
a few peers and a port, of which the measured connection meets one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mesh.model import FIRST_POD_IDENTITY as FIRST
from mesh.model import (
    Action,
    DirectionPolicy,
    Grant,
    HeaderMatch,
    HttpMatch,
    Identity,
    IdentityId,
    IdentityKind,
    Match,
    PathMatch,
    PolicyKey,
    PolicySet,
    PortRange,
    Prefix,
    Protocol,
    ReservedIdentity,
    ResolvedRule,
    Revision,
    RuleRef,
)
from mesh.snapshot import IpcacheEntry, NodeSnapshot, PodEndpoint

NAMESPACE = "bench"
CLUSTER = IPv4Network("10.64.0.0/10")
CROWD = IPv4Network("10.96.0.0/11")
"""Addresses of the pods that only fill the maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A pod that takes part: its name, address and policy."""

    name: str
    address: str
    identity: int
    policy: PolicySet

    @property
    def key(self) -> str:
        return f"{NAMESPACE}/{self.name}"


CLIENT_IDENTITY = FIRST
SERVER_IDENTITY = FIRST + 1
CROWD_IDENTITY = FIRST + 2


def open_policy(name: str) -> PolicySet:
    return PolicySet(key=PolicyKey(name))


def http_policy(name: str, peer: int) -> PolicySet:
    """Ingress open to one peer for GET below /api/ with x-env: prod, and for nothing else."""
    ref = _ref(f"{name}-http", 0)
    wanted = HttpMatch(
        methods=("GET",),
        paths=(PathMatch(Match.PREFIX, "/api/"),),
        headers=(HeaderMatch("x-env", Match.EXACT, "prod"),),
    )
    grant = Grant(frozenset({IdentityId(peer)}), (PortRange(Protocol.TCP, 8080, 8080),))
    rule = ResolvedRule(ref=ref, action=Action.ALLOW, grants=(grant,), http=(wanted,))
    return PolicySet(key=PolicyKey(name), ingress=DirectionPolicy(default_deny=True, selected_by=(ref,), rules=(rule,)))


def crowded_policy(name: str, peer: int, ports: Sequence[int], rules: int, identities: int) -> PolicySet:
    """`rules` rules in each direction, spread over the crowd; the last one lets `peer` in on `ports`."""
    spread = [_crowd_rule(name, number, identities) for number in range(rules - 1)]
    ranges = tuple(PortRange(Protocol.TCP, port, port) for port in ports)
    grant = Grant(frozenset({IdentityId(peer)}), ranges)
    own = ResolvedRule(ref=_ref(name, rules - 1), action=Action.ALLOW, grants=(grant,))
    half = DirectionPolicy(default_deny=True, selected_by=(_ref(name, 0),), rules=(*spread, own))
    return PolicySet(key=PolicyKey(name), egress=half, ingress=half)


def _crowd_rule(name: str, number: int, identities: int) -> ResolvedRule:
    peers = frozenset(IdentityId(CROWD_IDENTITY + (number * 2 + step) % max(identities, 1)) for step in (0, 1))
    port = 1024 + number % 60000
    grant = Grant(peers, (PortRange(Protocol.TCP, port, port),))
    return ResolvedRule(ref=_ref(name, number), action=Action.ALLOW, grants=(grant,))


def _ref(name: str, number: int) -> RuleRef:
    """A policy holds ten rules, so that many rules are many policies, as in a cluster."""
    return RuleRef(policy=f"{NAMESPACE}/{name}-{number // 10}", kind="MeshPolicy", rule=f"ingress[{number % 10}]")


def snapshot(node: str, *, here: Sequence[Subject], elsewhere: Sequence[Subject] = (), crowd: int = 0) -> NodeSnapshot:
    """One node's word: its own pods, the pods on other nodes, and `crowd` more pods elsewhere, each an identity."""
    identities = {IdentityId(int(number)): _reserved(number) for number in ReservedIdentity}
    unknown = IpcacheEntry(prefix=CLUSTER, identity=IdentityId(ReservedIdentity.UNKNOWN))
    ipcache: dict[Prefix, IpcacheEntry] = {CLUSTER: unknown}
    for subject in (*here, *elsewhere):
        _announce(identities, ipcache, subject.name, IPv4Address(subject.address), subject.identity)
    for number in range(crowd):
        _announce(identities, ipcache, f"crowd-{number}", CROWD[number + 1], CROWD_IDENTITY + number)
    endpoints = {
        subject.key: PodEndpoint(
            namespace=NAMESPACE,
            name=subject.name,
            uid=f"uid-{subject.name}",
            service_account="default",
            addresses=((IPv4Address(subject.address), IdentityId(subject.identity)),),
            enforced=True,
            policy=subject.policy.key,
        )
        for subject in here
    }
    return NodeSnapshot(
        node=node,
        revision=Revision(1),
        endpoints=endpoints,
        identities=identities,
        ipcache=ipcache,
        policies={subject.policy.key: subject.policy for subject in here},
    )


def _announce(
    identities: dict[IdentityId, Identity],
    ipcache: dict[Prefix, IpcacheEntry],
    name: str,
    address: IPv4Address,
    number: int,
) -> None:
    identity = IdentityId(number)
    identities[identity] = Identity(
        id=identity,
        kind=IdentityKind.POD,
        namespace=NAMESPACE,
        service_account="default",
        labels=(("app", name),),
        namespace_labels=(("kubernetes.io/metadata.name", NAMESPACE),),
        entities=frozenset({"cluster"}),
    )
    prefix = IPv4Network(address)
    ipcache[prefix] = IpcacheEntry(prefix=prefix, identity=identity, pod=f"{NAMESPACE}/{name}")


def _reserved(number: ReservedIdentity) -> Identity:
    return Identity(id=IdentityId(int(number)), kind=IdentityKind.RESERVED)
