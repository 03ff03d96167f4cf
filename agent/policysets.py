"""Contents of policy sets, and which set number each pod's policy gets. Pure; `plan` turns the answer into writes.

A set is immutable for every identity that the kernel knows: any other change makes a new set, and one write of the
endpoint's entry flips to it. Two changes may be made in place, because no packet can fall between their writes:
parts of identities that no address has yet, and parts of identities that no address has any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from agent.datapath.tables import PolicyKey as SetEntryKey
from agent.datapath.tables import PolicyPage, PolicyStep
from agent.numbers import NumberTable
from agent.policypages import pages_of
from mesh.model import PolicyKey, RuleRef
from mesh.policy.chains import Chain, ChainKey, Step

Where = tuple[int, int]
"""Direction, page."""
Part = Mapping[Where, PolicyPage]
"""The pages of one identity."""
Content = Mapping[int, Part]
"""Identity -> its pages."""


def content_of(chains: Mapping[ChainKey, Chain], rules: NumberTable[tuple[RuleRef, ...]]) -> Content:
    """Compiled chains in pages, with numbers in place of rules. What is equal is held once."""
    made: dict[Chain, Mapping[int, PolicyPage]] = {}
    content: dict[int, dict[Where, PolicyPage]] = {}
    for key, chain in chains.items():
        pages = made.get(chain)
        if pages is None:
            pages = made[chain] = pages_of(tuple(_numbered(step, rules) for step in chain))
        part = content.setdefault(int(key.identity), {})
        part.update({(int(key.direction), number): page for number, page in pages.items()})
    return content


def _numbered(step: Step, rules: NumberTable[tuple[RuleRef, ...]]) -> PolicyStep:
    return PolicyStep(step.protocol, step.port, step.flags, rules.number(step.rules) if step.rules else 0)


def keys_of(number: int, identity: int, part: Part) -> dict[SetEntryKey, PolicyPage]:
    """Map entries of one part of a set, in the order in which they are written: by its page 0 a chain is found."""
    return {
        SetEntryKey(set=number, identity=identity, direction=direction, page=page): part[direction, page]
        for direction, page in sorted(part, key=lambda where: where[1] == 0)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlace:
    """How a set becomes another content without a flip."""

    add: tuple[int, ...]
    remove: tuple[int, ...]


def in_place(old: Content, new: Content, *, live: Collection[int], existing: Collection[int]) -> InPlace | None:
    """The way from `old` to `new` where every step is safe, None if a new set is needed.

    `live`: identities that some address has in the kernel now. `existing`: those that will have one or may get one.
    """
    add: list[int] = []
    remove: list[int] = []
    for identity, part in new.items():
        held = old.get(identity)
        if held == part:
            continue
        if held is not None or identity in live:
            return None
        add.append(identity)
    for identity in old:
        if identity in new:
            continue
        if identity in existing:
            return None
        remove.append(identity)
    return InPlace(add=tuple(add), remove=tuple(remove))


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Which number stands for each policy."""

    numbers: Mapping[PolicyKey, int]
    fresh: Mapping[int, Content]
    """Sets that must be written whole."""
    changed: Mapping[int, InPlace]
    """Sets that grow or shrink in place."""
    contents: Mapping[PolicyKey, Content]
    next_number: int


K = TypeVar("K")


def _turned(table: Mapping[int, K]) -> dict[K, list[int]]:
    """Who has each value, in the order of their numbers."""
    found: dict[K, list[int]] = {}
    for endpoint, value in sorted(table.items(), key=lambda item: item[0]):
        found.setdefault(value, []).append(endpoint)
    return found


def allocate(
    *,
    wanted: Mapping[int, PolicyKey],
    contents: Mapping[PolicyKey, Content],
    held: Mapping[int, int],
    sets: Mapping[int, Content],
    live: Collection[int],
    existing: Collection[int],
    next_number: int,
) -> Allocation:
    """Give each wanted policy a set: one of equal content, else one that can become it in place, else a new one.

    `wanted`: endpoint -> policy; `held`: endpoint -> set number in force; `sets`: what the kernel holds.
    """
    users = _turned(held)
    numbers: dict[PolicyKey, int] = {}
    fresh: dict[int, Content] = {}
    changed: dict[int, InPlace] = {}
    by_policy = _turned(wanted)
    given: dict[int, PolicyKey] = {}

    def own_first(policy: PolicyKey) -> list[int]:
        own = {held[e] for e in by_policy[policy] if e in held}
        return sorted(own, key=lambda n: (-len(users[n]), n))

    for policy in by_policy:
        content = contents[policy]
        # A set in use that holds no entry is the empty set: the kernel has nothing to show for it.
        candidates = dict.fromkeys([*own_first(policy), *users, *sets])
        same = next((n for n in candidates if sets.get(n, {}) == content), None)
        if same is not None:
            numbers[policy] = same
            given[same] = policy
    for policy in by_policy:
        if policy in numbers:
            continue
        content = contents[policy]
        for number in own_first(policy):
            shared = any(wanted.get(e) != policy for e in users[number] if e in wanted)
            if number in given or shared:
                continue
            way = in_place(sets.get(number, {}), content, live=live, existing=existing)
            if way is not None:
                numbers[policy] = number
                given[number] = policy
                changed[number] = way
                break
        else:
            equal = next((n for n, other in fresh.items() if other == content), None)
            if equal is None:
                equal = next_number
                next_number += 1
                fresh[equal] = content
            numbers[policy] = equal
    return Allocation(numbers=numbers, fresh=fresh, changed=changed, contents=contents, next_number=next_number)
