"""A policy set as entries of the kernel's policy map, and the kernel's lookup as a model.

For each direction there is one chain of entries per identity that some rule names, and one for every peer (ANY). Keys
are longest-prefix: all ports of all protocols, then a protocol with some leading bits of the port. Each chain is
compiled so that its longest entry is final: it holds the united flags and rules of everything in the chain that covers
the port. The kernel looks into two chains, the peer's and ANY's, and unites what it finds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mesh.layouts import POLICY_ALLOW, POLICY_DEFAULT, POLICY_DENY, POLICY_HTTP_ALLOW, POLICY_HTTP_DENY
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


@dataclass(frozen=True, slots=True)
class EntryKey:
    direction: Direction
    identity: IdentityId
    protocol: int = 0
    port: int = 0
    port_bits: int | None = None
    """Leading bits of the port that count; None: protocol and port are wild, 0: every port of the protocol."""


@dataclass(frozen=True, slots=True)
class Entry:
    flags: int
    rules: tuple[RuleRef, ...] = ()


@dataclass(frozen=True, slots=True)
class _Clause:
    """One range of ports in a chain, with what is said about it."""

    ports: PortRange
    flags: int
    rule: RuleRef | None
    order: int


_NOTHING: frozenset[_Clause] = frozenset()
_Template = tuple[tuple[int, int, int | None, Entry], ...]


def compile_entries(policy: PolicySet) -> dict[EntryKey, Entry]:
    """Every entry of a policy set, both directions."""
    entries: dict[EntryKey, Entry] = {}
    for direction in Direction:
        templates: dict[tuple[_Clause, ...], _Template] = {}
        for identity, clauses in _chains(policy.towards(direction)).items():
            said = tuple(clauses)
            if said not in templates:
                templates[said] = tuple(_chain(said))
            for protocol, port, bits, entry in templates[said]:
                entries[EntryKey(direction, identity, protocol, port, bits)] = entry
    return entries


def _flag(rule: ResolvedRule) -> int:
    if rule.http is None:
        return POLICY_DENY if rule.action is Action.DENY else POLICY_ALLOW
    return POLICY_HTTP_DENY if rule.action is Action.DENY else POLICY_HTTP_ALLOW


def _chains(direction: DirectionPolicy) -> Mapping[IdentityId, list[_Clause]]:
    chains: dict[IdentityId, list[_Clause]] = defaultdict(list)
    if not direction.default_deny:
        default = _Clause(PortRange(Protocol.ANY), POLICY_ALLOW | POLICY_DEFAULT, None, -1)
        chains[ANY_IDENTITY].append(default)
    for order, rule in enumerate(direction.rules):
        flags = _flag(rule)
        for grant in rule.grants:
            clauses = [_Clause(ports, flags, rule.ref, order) for ports in grant.ports]
            for identity in (ANY_IDENTITY,) if grant.peers is None else grant.peers:
                chains[identity] += clauses
    return chains


def _chain(clauses: tuple[_Clause, ...]) -> Iterator[tuple[int, int, int | None, Entry]]:
    everywhere = frozenset(clause for clause in clauses if clause.ports.protocol is Protocol.ANY)
    if everywhere:
        yield 0, 0, None, _entry(everywhere)
    for protocol in sorted({clause.ports.protocol for clause in clauses} - {Protocol.ANY}):
        ours = [clause for clause in clauses if clause.ports.protocol is protocol]
        for port, bits, covering in _split(ours, everywhere, 0, 0):
            yield int(protocol), port, bits, _entry(covering)


def _split(
    clauses: list[_Clause], above: frozenset[_Clause], base: int, bits: int
) -> Iterator[tuple[int, int, frozenset[_Clause]]]:
    """Entries for the block of ports that `bits` leading bits of `base` name: where more is said than above it."""
    last = base + (1 << (_PORT_BITS - bits)) - 1
    whole = above.union(clause for clause in clauses if clause.ports.low <= base and last <= clause.ports.high)
    if whole != above:
        yield base, bits, whole
    partly = [clause for clause in clauses if clause not in whole]
    if not partly:
        return
    middle = base + (1 << (_PORT_BITS - bits - 1))
    yield from _split([clause for clause in partly if clause.ports.low < middle], whole, base, bits + 1)
    upper = [clause for clause in partly if clause.ports.high >= middle]
    yield from _split(upper, whole, middle, bits + 1)


def _entry(clauses: frozenset[_Clause]) -> Entry:
    flags = 0
    rules: dict[RuleRef, None] = {}
    for clause in sorted(clauses, key=lambda clause: clause.order):
        flags |= clause.flags
        if clause.rule is not None:
            rules[clause.rule] = None
    return Entry(flags, tuple(rules))


def lookup(
    entries: Mapping[EntryKey, Entry], direction: Direction, identity: IdentityId, protocol: int, port: int
) -> tuple[int, tuple[RuleRef, ...], tuple[RuleRef, ...]]:
    """What the kernel finds: united flags, the rules of the peer's chain, the rules of ANY's chain."""
    peer = _longest(entries, direction, identity, protocol, port)
    every = _longest(entries, direction, ANY_IDENTITY, protocol, port)
    return peer.flags | every.flags, peer.rules, every.rules


def _longest(
    entries: Mapping[EntryKey, Entry], direction: Direction, identity: IdentityId, protocol: int, port: int
) -> Entry:
    for bits in range(_PORT_BITS, -1, -1):
        wild = _PORT_BITS - bits
        found = entries.get(EntryKey(direction, identity, int(protocol), port >> wild << wild, bits))
        if found is not None:
            return found
    return entries.get(EntryKey(direction, identity), Entry(0))


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
