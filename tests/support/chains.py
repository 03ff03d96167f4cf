"""Policy chains for tests: written by hand, and read as the kernel reads them, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.datapath.tables import PolicyKey, PolicyPage, PolicyStep
from mesh.layouts import IDENTITY_ANY, POLICY_DENY, POLICY_FINAL, POLICY_LEVELS, POLICY_MORE

NOTHING = PolicyStep(0, 0, 0)
BROKEN = PolicyStep(0, 0, POLICY_DENY)
"""A page is missing in the middle of a chain."""


def said(
    table: Mapping[PolicyKey, PolicyPage], number: int, direction: int, identity: int, protocol: int, port: int
) -> PolicyStep:
    """What one chain of a set says of a port."""
    page = 0
    for level in range(POLICY_LEVELS):
        held = table.get(PolicyKey(set=number, identity=identity, direction=direction, page=page))
        if held is None:
            return BROKEN if level else NOTHING
        step = [step for step in held.steps if (step.protocol, step.port) <= (protocol, port)][-1]
        if not step.flags & POLICY_MORE:
            return step
        page = step.rules
    return BROKEN


def flags(
    table: Mapping[PolicyKey, PolicyPage], number: int, direction: int, identity: int, protocol: int, port: int
) -> int:
    """Those of the peer's chain and everybody's, united."""
    peer, every = (said(table, number, direction, who, protocol, port) for who in (identity, IDENTITY_ANY))
    return peer.flags if peer.flags & POLICY_FINAL else peer.flags | every.flags


@dataclass(frozen=True, slots=True)
class Word:
    """What a test says about some ports, as places in a chain (protocol << 16 | port), both ends included."""

    first: int
    last: int
    flags: int
    rules: int


def word(flags: int, rules: int, protocol: int, port: int | None, last: int | None) -> Word:
    """On everything (protocol 0), a whole protocol, one port, or the ports up to `last`."""
    if not protocol:
        return Word(0, 0xFF_FFFF, flags, rules)
    high = 0xFFFF if port is None else port if last is None else last
    return Word(protocol << 16 | (port or 0), protocol << 16 | high, flags, rules)


def chain_of(words: Iterable[Word]) -> tuple[PolicyStep, ...]:
    """A chain in which the narrowest word on a port counts; of equally narrow ones the last."""
    by_width = sorted(words, key=lambda word: word.first - word.last)
    steps: list[PolicyStep] = []
    for place in sorted({0, *(word.first for word in by_width), *(word.last + 1 for word in by_width)} - {1 << 24}):
        covering = [word for word in by_width if word.first <= place <= word.last]
        said_here = (covering[-1].flags, covering[-1].rules) if covering else (0, 0)
        steps.append(PolicyStep(place >> 16, place & 0xFFFF, *said_here))
    return tuple(steps)
