"""What to do with conntrack entries, decided without doing it: which are dead, which must be asked again.

Pure. The kernel treats an expired entry as a miss; somebody has to take it out of the map, and somebody has to look at
flows that are idle when policy changes, since the kernel asks again only when a packet comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.datapath.tables import CtEntry, CtKey
from mesh import layouts

Entry = tuple[CtKey, CtEntry]

_BOTH_FINS = layouts.CT_FIN_FORWARD | layouts.CT_FIN_REPLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What one walk over the map found."""

    dead: tuple[CtKey, ...]
    """Expired, or of an endpoint that is gone: to be deleted."""
    stale: tuple[Entry, ...]
    """Live, decided under an older epoch of their endpoint: policy must be asked."""


def sweep(entries: Iterable[Entry], *, now_ns: int, epochs: Mapping[int, int]) -> Sweep:
    """`epochs`: endpoint -> epoch of those that exist. `now_ns` is CLOCK_MONOTONIC, as the kernel's times are."""
    dead: list[CtKey] = []
    stale: list[Entry] = []
    for key, entry in entries:
        epoch = epochs.get(key.endpoint)
        if epoch is None or entry.expires_ns < now_ns:
            dead.append(key)
            continue
        if entry.epoch != epoch and not closing(entry):
            stale.append((key, entry))
    return Sweep(dead=tuple(dead), stale=tuple(stale))


def closing(entry: CtEntry) -> bool:
    """A connection that is over; its entry only waits for stragglers."""
    return bool(entry.flags & layouts.CT_RESET) or entry.flags & _BOTH_FINS == _BOTH_FINS


def state_name(key: CtKey, entry: CtEntry) -> str:
    """For `weft conntrack list`."""
    if entry.flags & layouts.CT_RESET:
        return "reset"
    if closing(entry):
        return "closing"
    if entry.flags & layouts.CT_SEEN_REPLY:
        return "established"
    return "opening" if key.protocol == 6 else "unreplied"
