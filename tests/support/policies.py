"""Random resolved policies and the flows that tell them apart, for property tests of everything that must agree.

`policy_sets()` draws policies over a small pool of identities and ports, so that rules overlap; `flows_of` lists the
flows of one policy that can make a difference: each identity of the pool and a stranger, each protocol, the ports at
and beside each boundary. A test that drives a kernel, a proxy or a simulator takes both from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import strategies as st

from mesh.model import (
    EVERY_PORT,
    FIRST_ADDRESS_IDENTITY,
    FIRST_POD_IDENTITY,
    Action,
    Direction,
    DirectionPolicy,
    Grant,
    IdentityId,
    PolicySet,
    PortRange,
    Protocol,
    ReservedIdentity,
    ResolvedRule,
    RuleRef,
)
from mesh.policy.rules import make_set
from tests.support.requests import http_matches

IDENTITIES = tuple(
    IdentityId(number)
    for number in (
        ReservedIdentity.WORLD,
        ReservedIdentity.REMOTE_NODE,
        ReservedIdentity.KUBE_APISERVER,
        *range(FIRST_POD_IDENTITY, FIRST_POD_IDENTITY + 6),
        FIRST_ADDRESS_IDENTITY,
        FIRST_ADDRESS_IDENTITY + 1,
    )
)
"""Peers that rules name. Never UNKNOWN nor HOST: no policy is asked about those."""
STRANGER = IdentityId(FIRST_POD_IDENTITY + 99)
"""A pod that no rule names."""
TRANSPORTS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
ROUND_PORTS = (0, 1, 53, 79, 80, 81, 255, 256, 443, 1023, 1024, 8080, 8081, 32767, 32768, 65534, 65535)


@dataclass(frozen=True, slots=True)
class Flow:
    """What a policy is asked about one direction."""

    direction: Direction
    peer: IdentityId
    protocol: Protocol
    port: int


ports = st.one_of(st.sampled_from(ROUND_PORTS), st.integers(0, 65535))


@st.composite
def port_ranges(draw: st.DrawFn, protocols: tuple[Protocol, ...] = TRANSPORTS) -> PortRange:
    protocol = draw(st.sampled_from(protocols))
    low = draw(ports)
    high = draw(st.one_of(st.just(low), ports, st.just(65535)))
    return PortRange(protocol, min(low, high), max(low, high))


@st.composite
def grants(draw: st.DrawFn, *, tcp_only: bool = False) -> Grant:
    some = st.frozensets(st.sampled_from(IDENTITIES), min_size=1, max_size=4)
    peers = draw(st.one_of(st.none(), some, some))
    if draw(st.integers(0, 4)) == 0:
        return Grant(peers, (PortRange(Protocol.TCP) if tcp_only else EVERY_PORT,))
    ranges = port_ranges((Protocol.TCP,)) if tcp_only else port_ranges()
    return Grant(peers, tuple(draw(st.lists(ranges, min_size=1, max_size=3))))


@st.composite
def rules(draw: st.DrawFn, word: str, index: int) -> ResolvedRule:
    action = draw(st.sampled_from((Action.ALLOW, Action.ALLOW, Action.DENY)))
    http = tuple(draw(st.lists(http_matches(), min_size=1, max_size=2))) if draw(st.integers(0, 2)) == 0 else None
    return ResolvedRule(
        ref=RuleRef(policy=f"ns/p{index % 3}", kind="MeshPolicy", rule=f"{word}[{index}]", action=action),
        action=action,
        grants=tuple(draw(st.lists(grants(tcp_only=http is not None), min_size=1, max_size=2))),
        http=http,
    )


@st.composite
def direction_policies(draw: st.DrawFn, direction: Direction, *, most_rules: int = 6) -> DirectionPolicy:
    closed = draw(st.booleans())
    count = draw(st.integers(0, most_rules))
    return DirectionPolicy(
        default_deny=closed,
        selected_by=(RuleRef(policy="ns/p0", kind="MeshPolicy"),) if closed else (),
        rules=tuple(draw(rules(direction.name.lower(), index)) for index in range(count)),
    )


@st.composite
def policy_sets(draw: st.DrawFn, *, most_rules: int = 6) -> PolicySet:
    return make_set(
        egress=draw(direction_policies(Direction.EGRESS, most_rules=most_rules)),
        ingress=draw(direction_policies(Direction.INGRESS, most_rules=most_rules)),
    )


def edges(policy: DirectionPolicy) -> tuple[int, ...]:
    """Ports at and beside each boundary that a policy draws, and one that is nowhere near."""
    found = {0, 65535, 40_000}
    for rule in policy.rules:
        for grant in rule.grants:
            for ports_ in grant.ports:
                found |= {ports_.low - 1, ports_.low, ports_.high, ports_.high + 1}
    return tuple(sorted(port for port in found if 0 <= port <= 65535))


def flows_of(policy: PolicySet) -> Iterator[Flow]:
    """Every flow that can make a difference to a policy."""
    for direction in Direction:
        for port in edges(policy.towards(direction)):
            for peer in (*IDENTITIES, STRANGER):
                for protocol in TRANSPORTS:
                    yield Flow(direction, peer, protocol, port)
        for peer in (*IDENTITIES, STRANGER):
            yield Flow(direction, peer, Protocol.ICMP, 0)
