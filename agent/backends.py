"""Where the backends of each service stand in the backend map. Pure.

A service entry names a block of neighbouring backends. A change writes a new block and then moves the entry to it with
one write; the old block is freed after a grace, because a socket hook may be half-way through it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from agent.datapath.interface import MapFull
from agent.datapath.tables import BackendEntry, ServiceEntry, ServiceKey
from agent.desired import DesiredService


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceWrites:
    put_backends: Mapping[int, BackendEntry] = field(default_factory=dict)
    put_services: Mapping[ServiceKey, ServiceEntry] = field(default_factory=dict)
    remove_services: tuple[ServiceKey, ...] = ()
    unused: frozenset[int] = frozenset()
    """Numbers of backends that no service names after these writes."""


def place(
    wanted: Mapping[ServiceKey, DesiredService],
    services: Mapping[ServiceKey, ServiceEntry],
    backends: Mapping[int, BackendEntry],
    *,
    capacity: int,
) -> ServiceWrites:
    """The writes that make the two maps say what is wanted. MapFull where no block is free."""
    kept: dict[ServiceKey, ServiceEntry] = {}
    moved: list[tuple[ServiceKey, DesiredService]] = []
    for key, service in wanted.items():
        entry = services.get(key)
        if entry is not None and entry.flags == 0 and _block(entry, backends) == service.backends:
            kept[key] = ServiceEntry(service.number, entry.backend_base, entry.backend_count)
        else:
            moved.append((key, service))
    taken = set(backends)
    put_backends: dict[int, BackendEntry] = {}
    put_services: dict[ServiceKey, ServiceEntry] = {k: e for k, e in kept.items() if services[k] != e}
    cursor = 1
    for key, service in moved:
        size = len(service.backends)
        base = _free(taken, size, cursor, capacity) if size else 0
        if size:
            cursor = base + size
            block = dict(enumerate(service.backends, base))
            put_backends.update(block)
            taken.update(block)
        put_services[key] = ServiceEntry(service.number, base, size)
    final = {**kept, **{k: e for k, e in put_services.items() if k in wanted}}
    named = {n for e in final.values() for n in range(e.backend_base, e.backend_base + e.backend_count)}
    return ServiceWrites(
        put_backends=put_backends,
        put_services=put_services,
        remove_services=tuple(k for k in services if k not in wanted),
        unused=frozenset(n for n in backends if n not in named),
    )


def _block(entry: ServiceEntry, backends: Mapping[int, BackendEntry]) -> tuple[BackendEntry | None, ...]:
    return tuple(backends.get(n) for n in range(entry.backend_base, entry.backend_base + entry.backend_count))


def _free(taken: Collection[int], size: int, cursor: int, capacity: int) -> int:
    """The first free block from `cursor` on, else from the beginning. Number 0 stays unused: it reads as "none"."""
    for start in (cursor, 1):
        base, run = start, 0
        while base + run < capacity:
            if base + run in taken:
                base, run = base + run + 1, 0
                continue
            run += 1
            if run == size:
                return base
    raise MapFull(
        f"the backend map has no room for {size} more backends in a row (it holds {len(taken)} of {capacity}): "
        "fewer services or backends are needed on this node"
    )
