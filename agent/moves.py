"""Addresses whose identity changes, and in which order maps must learn it so that no verdict flickers. Pure.

A flow that is allowed before and after a change must be allowed at each moment between, a denied one denied. While an
address goes from identity X to Y and a pod's policy from set S to T, the kernel is for a moment in a mixture:

- `ipcache` first: the pod asks S about Y. Right if S holds for Y what it held for X: that copy is the *bridge*.
- endpoint first: the pod asks T about X. Right if T holds for X what it holds for Y: the bridge the other way round.

Which of the two is possible depends on who else has X and Y; the tables here say it for each pair. Where both live on
and sets disagree about them no order is right without a third number; then `ipcache` goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.datapath.tables import IpcacheEntry, IpcacheKey
from mesh.model import Address, Prefix, ReservedIdentity
from mesh.policy.prefixes import host_prefix


@dataclass(frozen=True, slots=True)
class Move:
    key: IpcacheKey
    old: int
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """`early` keys are written before endpoints flip; all other changes of ipcache after."""

    early: frozenset[IpcacheKey]
    hosts: frozenset[Address]
    """Single addresses among the changes."""
    pairs: frozenset[tuple[int, int]]
    """(X, Y) of addresses that somebody had before and has after."""
    into_old: Mapping[int, int]
    """Y -> X: sets that are about to be left learn Y as a copy of X."""
    into_new: Mapping[int, int]
    """X -> Y: sets that are about to be used learn X as a copy of Y, until ipcache has moved on."""


class Cover:
    """Longest-prefix lookups in an ipcache, and which identity a prefix would have without its own entry."""

    def __init__(self, table: Mapping[IpcacheKey, IpcacheEntry]) -> None:
        self._table = table
        self._lengths: dict[int, list[int]] = {}
        for version in (4, 6):
            lengths = {key.prefix.prefixlen for key in table if key.prefix.version == version}
            self._lengths[version] = sorted(lengths, reverse=True)

    def above(self, prefix: Prefix) -> int:
        for bits in self._lengths[prefix.version]:
            if bits < prefix.prefixlen:
                entry = self._table.get(IpcacheKey(prefix.supernet(new_prefix=bits)))
                if entry is not None:
                    return entry.identity
        return int(ReservedIdentity.UNKNOWN)

    def of(self, address: Address) -> int:
        """The identity of an address, as the kernel's longest-prefix lookup finds it."""
        host = host_prefix(address)
        entry = self._table.get(IpcacheKey(host))
        return self.above(host) if entry is None else entry.identity


def moves(old: Mapping[IpcacheKey, IpcacheEntry], new: Mapping[IpcacheKey, IpcacheEntry]) -> Moves:
    """Sort the changes of ipcache into early and late ones, with the bridges that they need."""
    found = _find(old, new)
    live = {entry.identity for entry in old.values()}
    staying = {entry.identity for entry in new.values()}
    sources: dict[int, set[int]] = {}
    targets: dict[int, set[int]] = {}
    for move in found:
        sources.setdefault(move.new, set()).add(move.old)
        targets.setdefault(move.old, set()).add(move.new)
    into_old: dict[int, int] = {}
    into_new: dict[int, int] = {}
    early: set[IpcacheKey] = set()
    for target, origins in sources.items():
        leaving = all(x not in staying and len(targets[x]) == 1 for x in origins)
        if target not in live and len(origins) > 1 and not leaving:
            into_old[target] = min(origins)
        elif target not in live and len(origins) == 1:
            into_old[target] = next(iter(origins))
        elif leaving:
            into_new.update(dict.fromkeys(origins, target))
            continue
        early.update(move.key for move in found if move.new == target)
    return Moves(
        early=frozenset(early),
        hosts=frozenset(m.key.prefix.network_address for m in found if m.key.prefix.num_addresses == 1),
        pairs=frozenset((move.old, move.new) for move in found),
        into_old=into_old,
        into_new=into_new,
    )


def _find(old: Mapping[IpcacheKey, IpcacheEntry], new: Mapping[IpcacheKey, IpcacheEntry]) -> list[Move]:
    """Changes between two known identities; from or to UNKNOWN there is nothing that could flicker."""
    changed = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    if not changed or not old:
        return []
    before, after = Cover(old), Cover(new)
    found: list[Move] = []
    for key in changed:
        held, wanted = old.get(key), new.get(key)
        x = held.identity if held is not None else before.above(key.prefix)
        y = wanted.identity if wanted is not None else after.above(key.prefix)
        if x != y and ReservedIdentity.UNKNOWN not in (x, y):
            found.append(Move(key, x, y))
    return found
