"""A policy set as the chains of the kernel's policy map, and the kernel's lookup as a model.

For each direction there is one chain per identity that some rule names, and one for every peer (ANY). A chain is made
of steps in the order of protocol and port; a step holds until the next one begins, and has the united flags and rules
of everything in the chain that covers its ports. The kernel asks two chains, the peer's and ANY's, and unites what it
finds; the second only where it has something to add, which each step of the first one tells. How a chain lies in the
map is the agent's business (`agent/policypages.py`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mesh.layouts import (
    POLICY_ALLOW,
    POLICY_DEFAULT,
    POLICY_DENY,
    POLICY_FINAL,
    POLICY_HTTP_ALLOW,
    POLICY_HTTP_DENY,
)
from mesh.model import (
    ANY_IDENTITY,
    Action,
    Direction,
    DirectionPolicy,
    IdentityId,
    PolicySet,
    PortRange,
    Protocol,
    ResolvedRule,
    RuleRef,
    Verdict,
)

_PORT_BITS = 16
_PORT_MASK = (1 << _PORT_BITS) - 1
_END = 1 << 24
"""Behind the last port of the last protocol."""


@dataclass(frozen=True, slots=True)
class ChainKey:
    direction: Direction
    identity: IdentityId


@dataclass(frozen=True, slots=True)
class Step:
    """What holds from this protocol's port on."""

    protocol: int
    port: int
    flags: int
    rules: tuple[RuleRef, ...] = ()


Chain = tuple[Step, ...]
"""The first step begins at protocol 0, port 0."""
_NOTHING = Step(0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Clause:
    """One range of ports in a chain, with what is said about it."""

    ports: PortRange
    flags: int
    rule: RuleRef | None
    order: int


def compile_chains(policy: PolicySet) -> dict[ChainKey, Chain]:
    """Every chain of a policy set, both directions. Identities of whom the same is said share one."""
    chains: dict[ChainKey, Chain] = {}
    for direction in Direction:
        clauses = _clauses(policy.towards(direction))
        every = tuple(_steps(clauses.pop(ANY_IDENTITY, ())))
        if every:
            chains[ChainKey(direction, ANY_IDENTITY)] = every
        made: dict[tuple[_Clause, ...], Chain] = {}
        for identity, told in clauses.items():
            said = tuple(told)
            if said not in made:
                made[said] = tuple(_final(tuple(_steps(said)), every))
            chains[ChainKey(direction, identity)] = made[said]
    return chains


def _flag(rule: ResolvedRule) -> int:
    if rule.http is None:
        return POLICY_DENY if rule.action is Action.DENY else POLICY_ALLOW
    return POLICY_HTTP_DENY if rule.action is Action.DENY else POLICY_HTTP_ALLOW


def _clauses(direction: DirectionPolicy) -> dict[IdentityId, Sequence[_Clause]]:
    said: dict[IdentityId, list[_Clause]] = defaultdict(list)
    if not direction.default_deny:
        default = _Clause(PortRange(Protocol.ANY), POLICY_ALLOW | POLICY_DEFAULT, None, -1)
        said[ANY_IDENTITY].append(default)
    for order, rule in enumerate(direction.rules):
        flags = _flag(rule)
        for grant in rule.grants:
            clauses = [_Clause(ports, flags, rule.ref, order) for ports in grant.ports]
            for identity in (ANY_IDENTITY,) if grant.peers is None else grant.peers:
                said[identity] += clauses
    return dict(said)


def _steps(clauses: Sequence[_Clause]) -> Iterator[Step]:
    """A sweep over all places where something begins or ends; a step only where what is said differs from before."""
    if not clauses:
        return
    begins: dict[int, list[_Clause]] = defaultdict(list)
    ends: dict[int, list[_Clause]] = defaultdict(list)
    everywhere: list[_Clause] = []
    for clause in clauses:
        if clause.ports.protocol is Protocol.ANY:
            everywhere.append(clause)
        else:
            begins[_place(clause.ports.protocol, clause.ports.low)].append(clause)
            ends[_place(clause.ports.protocol, clause.ports.high) + 1].append(clause)
    covering = dict.fromkeys(everywhere)
    last: Step | None = None
    for place in sorted({0, *begins, *ends}):
        for clause in ends[place]:
            covering.pop(clause, None)
        covering.update(dict.fromkeys(begins[place]))
        step = _step(place, covering)
        if last is None or (step.flags, step.rules) != (last.flags, last.rules):
            yield step
            last = step


def _final(chain: Chain, every: Chain) -> Iterator[Step]:
    """A peer's chain with its steps marked on whose ports ANY's chain says nothing: the kernel spares that lookup."""
    begins = [_begin(step) for step in every]
    for step, end in zip(chain, (*map(_begin, chain[1:]), _END), strict=True):
        beside = every[max(bisect_right(begins, _begin(step)) - 1, 0) : bisect_left(begins, end)]
        yield step if any(other.flags for other in beside) else replace(step, flags=step.flags | POLICY_FINAL)


def _begin(step: Step) -> int:
    return _place(step.protocol, step.port)


def _place(protocol: int, port: int) -> int:
    return protocol << _PORT_BITS | port


def _step(place: int, covering: Iterable[_Clause]) -> Step:
    flags = 0
    rules: dict[RuleRef, None] = {}
    for clause in sorted(covering, key=lambda clause: clause.order):
        flags |= clause.flags
        if clause.rule is not None:
            rules[clause.rule] = None
    return Step(place >> _PORT_BITS, place & _PORT_MASK, flags, tuple(rules))


def lookup(
    chains: Mapping[ChainKey, Chain], direction: Direction, identity: IdentityId, protocol: int, port: int
) -> tuple[int, tuple[RuleRef, ...], tuple[RuleRef, ...]]:
    """What the kernel finds: united flags, the rules of the peer's chain, the rules of ANY's chain."""
    peer = _said(chains.get(ChainKey(direction, identity)), protocol, port)
    if peer.flags & POLICY_FINAL:
        return peer.flags, peer.rules, ()
    every = _said(chains.get(ChainKey(direction, ANY_IDENTITY)), protocol, port)
    return peer.flags | every.flags, peer.rules, every.rules


def _said(chain: Chain | None, protocol: int, port: int) -> Step:
    if chain is None:
        return _NOTHING
    return chain[bisect_right(chain, _place(protocol, port), key=_begin) - 1]


def verdict(flags: int) -> tuple[Verdict, bool]:
    """What the kernel makes of united flags: the verdict at L4, and whether the proxy must look at the requests."""
    if flags & POLICY_DENY:
        return Verdict.DENY, False
    if flags & POLICY_HTTP_DENY and flags & (POLICY_ALLOW | POLICY_HTTP_ALLOW):
        return Verdict.ALLOW, True
    if flags & POLICY_ALLOW:
        return Verdict.ALLOW, False
    if flags & POLICY_HTTP_ALLOW:
        return Verdict.ALLOW, True
    return Verdict.DENY, False
