"""The ordered writes that lead from what the maps hold to what they should hold. Pure.

Make before break: policy learns everything new, addresses get their new identities, pods flip to their new sets, new
addresses appear, services move, and only then is anything taken away. `moves` explains why identities that change
need bridges between the steps. An empty list of steps means that nothing differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent.backends import place
from agent.datapath.tables import AddressKey, EndpointEntry, IpcacheKey
from agent.desired import Desired, DesiredEndpoint
from agent.moves import Moves, moves
from agent.policysets import Allocation, Content, allocate, keys_of
from agent.realized import Realized
from mesh.layouts import IPCACHE_LOCAL
from mesh.model import ANY_IDENTITY, Address, PolicyKey

EPOCH_MASK = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Writes to one map, in the order given; it matters for the pages of a policy chain alone."""

    table: str
    put: Mapping[Any, Any] = field(default_factory=dict)
    delete: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Programs to attach to, or detach from, the host side of pods. `guests` are pods that are not enrolled."""

    attach: tuple[int, ...] = ()
    guests: tuple[int, ...] = ()
    detach: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    steps: tuple[Step | Hooks, ...]
    flipped: frozenset[int]
    """Endpoints whose epoch grows: their live flows are asked again."""
    removed: frozenset[int]
    """Endpoints whose entries go."""
    departed: frozenset[Address]
    """Addresses whose owner is gone: whoever gets one next must not inherit the flows that others had with it."""
    unused_sets: frozenset[int]
    """Sets that nobody uses once the steps are done; deleted after a grace."""
    unused_backends: frozenset[int]
    set_numbers: Mapping[PolicyKey, int]
    next_set: int
    moved: frozenset[Address]
    """Addresses that go from one identity to another."""
    renamed: frozenset[tuple[int, int]]
    """Identities that addresses leave, with those that they get: the proxy has to treat the two alike meanwhile."""


def plan(
    want: Desired, have: Realized, *, next_set: int, first_epoch: int, backend_capacity: int, ghosts: frozenset[int]
) -> Plan:
    """Compare and order.

    `first_epoch` is what a new endpoint starts with. `ghosts` are retired sets that are being deleted: never reused.
    """
    moved = moves(have.ipcache, want.ipcache)
    held = {number: e.policy_set for number, e in have.endpoint.items() if e.policy_set}
    allocation = _sets(want, have, held, next_set=next_set, ghosts=ghosts)
    asked_again = _asked_again(want, have, allocation, moved)
    final = {n: _entry(want.endpoints[n], have.endpoint.get(n), allocation, first_epoch) for n in want.endpoints}
    services = place(want.services, have.service, have.backend, capacity=backend_capacity)
    early, late, gone = _ipcache(want, have, moved)
    first, last = _policy(have, allocation, held, moved)
    early_entries, flips, bumps = _endpoint_writes(have, final, asked_again, early=bool(early))
    by = _lookups(final)
    others = _other_addresses(want, by["endpoint_by_address"])
    kept = by | {"endpoint_by_address": by["endpoint_by_address"] | others}
    ifindexes = set(by["endpoint_by_ifindex"])
    left = (set(have.endpoint_by_ifindex) | have.hooks | have.guests) - ifindexes - want.guests
    steps: list[Step | Hooks] = [
        Step(table="policy", put=first),
        Step(table="ipcache", put=early),
        Step(table="endpoint", put=early_entries),
        Step(table="endpoint", put=flips),
        *(Step(table=t, put=_differing(have, t, entries)) for t, entries in by.items()),
        Hooks(attach=tuple(sorted(ifindexes - have.hooks))),
        Step(table="ipcache", put=late, delete=gone),
        Step(table="endpoint", put=bumps),
        Step(table="backend", put=services.put_backends),
        Step(table="service", put=services.put_services, delete=services.remove_services),
        Hooks(guests=tuple(sorted(want.guests - have.guests)), detach=tuple(sorted(left))),
        Step(table="policy", delete=last),
        Step(table="endpoint_by_address", put=_differing(have, "endpoint_by_address", others)),
        *(Step(table=t, delete=tuple(k for k in getattr(have, t) if k not in entries)) for t, entries in kept.items()),
        Step(table="endpoint", delete=tuple(n for n in have.endpoint if n not in final)),
    ]
    used = {e.policy_set for e in final.values()}
    return Plan(
        steps=tuple(s for s in steps if not _empty(s)),
        flipped=frozenset(n for n, e in {**flips, **bumps}.items() if _epoch(have, n) not in (None, e.epoch)),
        removed=frozenset(n for n in have.endpoint if n not in final),
        departed=frozenset(key.prefix.network_address for key in gone if key.prefix.num_addresses == 1),
        unused_sets=frozenset(n for n in (*have.sets, *allocation.fresh) if n not in used),
        unused_backends=services.unused,
        set_numbers=allocation.numbers,
        next_set=allocation.next_number,
        moved=moved.hosts,
        renamed=moved.pairs,
    )


def _sets(
    want: Desired, have: Realized, held: Mapping[int, int], *, next_set: int, ghosts: frozenset[int]
) -> Allocation:
    return allocate(
        wanted={number: e.policy for number, e in want.endpoints.items() if e.policy is not None},
        contents=want.contents,
        held=held,
        sets={number: content for number, content in have.sets.items() if number not in ghosts},
        live={entry.identity for entry in have.ipcache.values()} | {int(ANY_IDENTITY)},
        existing=want.identities | {int(ANY_IDENTITY)},
        next_number=next_set,
    )


def _lookups(final: Mapping[int, EndpointEntry]) -> dict[str, dict[Any, int]]:
    """Table -> its entries: by what the kernel finds an endpoint's number."""
    addresses = {AddressKey(a): n for n, e in final.items() for a in (e.addr4, e.addr6) if a is not None}
    return {
        "endpoint_by_ifindex": {e.ifindex: n for n, e in final.items()},
        "endpoint_by_address": addresses,
        "endpoint_by_netns": {e.netns_cookie: n for n, e in final.items() if e.netns_cookie},
    }


def _other_addresses(want: Desired, of_endpoints: Mapping[Any, int]) -> dict[AddressKey, int]:
    """The other addresses of this node, so that one look tells the kernel that they are: 0, no endpoint's."""
    local = (AddressKey(key.prefix.network_address) for key, e in want.ipcache.items() if e.flags & IPCACHE_LOCAL)
    return {key: 0 for key in local if key not in of_endpoints}


def _empty(step: Step | Hooks) -> bool:
    if isinstance(step, Hooks):
        return not (step.attach or step.guests or step.detach)
    return not step.put and not step.delete


def _differing(have: Realized, table: str, entries: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in entries.items() if have.get(table, key) != value}


def _epoch(have: Realized, number: int) -> int | None:
    entry = have.endpoint.get(number)
    return None if entry is None else entry.epoch


def _entry(
    wanted: DesiredEndpoint, held: EndpointEntry | None, allocation: Allocation, first_epoch: int
) -> EndpointEntry:
    """The entry to be; its epoch grows when its set changes."""
    number = 0 if wanted.policy is None else allocation.numbers[wanted.policy]
    epoch = first_epoch
    if held is not None:
        epoch = held.epoch if held.policy_set == number else (held.epoch + 1) & EPOCH_MASK
    return EndpointEntry(
        ifindex=wanted.local.ifindex,
        policy_set=number,
        epoch=epoch,
        flags=wanted.flags,
        identity4=wanted.identity4,
        identity6=wanted.identity6,
        addr4=wanted.addr4,
        addr6=wanted.addr6,
        netns_cookie=wanted.local.netns_cookie,
    )


def _asked_again(want: Desired, have: Realized, allocation: Allocation, moved: Moves) -> frozenset[int]:
    """Endpoints that keep their set, but whose peers changed identity to one that is treated differently."""
    found: set[int] = set()
    for number, endpoint in want.endpoints.items():
        held = have.endpoint.get(number)
        if endpoint.policy is None or held is None or held.policy_set != allocation.numbers[endpoint.policy]:
            continue
        before: Content = have.sets.get(held.policy_set, {})
        after = want.contents[endpoint.policy]
        if any(before.get(x, {}) != after.get(y, {}) for x, y in moved.pairs):
            found.add(number)
    return frozenset(found)


def _endpoint_writes(
    have: Realized, final: Mapping[int, EndpointEntry], asked_again: frozenset[int], *, early: bool
) -> tuple[dict[int, EndpointEntry], dict[int, EndpointEntry], dict[int, EndpointEntry]]:
    """Own identities together with ipcache, then the flips, then new epochs under the same set.

    An entry's {set, epoch} always changes in one write; its identities are those that ipcache gives at that time.
    """
    identities: dict[int, EndpointEntry] = {}
    flips: dict[int, EndpointEntry] = {}
    bumps: dict[int, EndpointEntry] = {}
    for number, entry in final.items():
        held = have.endpoint.get(number)
        if held is not None and early and (held.addr4, held.addr6) == (entry.addr4, entry.addr6):
            renamed = replace(held, identity4=entry.identity4, identity6=entry.identity6)
            if renamed != held:
                identities[number] = renamed
                held = renamed
        if held != entry:
            flips[number] = entry
        if number in asked_again:
            bumps[number] = replace(entry, epoch=(entry.epoch + 1) & EPOCH_MASK)
    return identities, flips, bumps


def _ipcache(
    want: Desired, have: Realized, moved: Moves
) -> tuple[dict[IpcacheKey, Any], dict[IpcacheKey, Any], tuple[IpcacheKey, ...]]:
    """What addresses learn before pods flip, what after, and which prefixes go."""
    early: dict[IpcacheKey, Any] = {}
    late: dict[IpcacheKey, Any] = {}
    for key, entry in want.ipcache.items():
        if have.ipcache.get(key) != entry:
            (early if key in moved.early else late)[key] = entry
    return early, late, tuple(key for key in have.ipcache if key not in want.ipcache)


def _policy(
    have: Realized, allocation: Allocation, held: Mapping[int, int], moved: Moves
) -> tuple[dict[Any, Any], tuple[Any, ...]]:
    """Entries to add before everything else, and entries to take away after everything else."""
    first: dict[Any, Any] = {}
    last: dict[Any, Any] = {}
    for number, content in allocation.fresh.items():
        for identity, part in content.items():
            first.update(keys_of(number, identity, part))
    for policy, number in allocation.numbers.items():
        content, parts = allocation.contents[policy], have.sets.get(number, {})
        for old, new in moved.into_new.items():
            if old not in content and old not in parts and new in content:
                bridge = keys_of(number, old, content[new])
                first.update(bridge)
                last.update(bridge)
    policy_of = {number: policy for policy, number in allocation.numbers.items()}
    for number, way in allocation.changed.items():
        content = allocation.contents[policy_of[number]]
        for identity in way.add:
            first.update(keys_of(number, identity, content[identity]))
        for identity in way.remove:
            last.update(keys_of(number, identity, have.sets[number][identity]))
    left = set(held.values()) - set(allocation.numbers.values())
    for number in left & have.sets.keys():
        parts = have.sets[number]
        for new, old in moved.into_old.items():
            if new not in parts and old in parts:
                first.update(keys_of(number, new, parts[old]))
    return first, tuple(reversed(last))
