"""The maps by name: which types their keys and values have, and what the names of the pins are.

One list for the kernel datapath, its fake and `weft map dump`. Sizes stand in `bpf/lib/maps.h` alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from agent.datapath import tables
from mesh import layouts


@dataclass(frozen=True, slots=True, kw_only=True)
class MapShape:
    """How the entries of one map read."""

    key: type[Any] | int
    """A type of tables.py, a struct of layouts.py, or for plain numbers their size in bytes."""
    value: type[Any] | int
    per_cpu: bool = False
    can_fill: bool = False
    """Worth a pressure metric: entries come with load."""
    of_traffic: bool = False
    """The programs write it, at any moment. A new version goes on with the same map, as long as its fields and its size
    are the same: in a copy, what comes while one program after the other is replaced would be missing."""


SHAPES: dict[str, MapShape] = {
    "mesh_ipcache": MapShape(key=tables.IpcacheKey, value=tables.IpcacheEntry, can_fill=True),
    "mesh_endpoint": MapShape(key=4, value=tables.EndpointEntry, can_fill=True),
    "mesh_ep_if": MapShape(key=4, value=4),
    "mesh_ep_addr": MapShape(key=tables.AddressKey, value=4),
    "mesh_ep_ns": MapShape(key=8, value=4),
    "mesh_policy": MapShape(key=tables.PolicyKey, value=tables.PolicyPage, can_fill=True),
    "mesh_ct": MapShape(key=tables.CtKey, value=tables.CtEntry, can_fill=True, of_traffic=True),
    "mesh_spent": MapShape(key=4, value=tables.EndpointSpent, of_traffic=True),
    "mesh_freed": MapShape(key=4, value=tables.EndpointFreed, of_traffic=True),
    "mesh_service": MapShape(key=tables.ServiceKey, value=tables.ServiceEntry, can_fill=True),
    "mesh_backend": MapShape(key=4, value=tables.BackendEntry, can_fill=True),
    "mesh_sockrev": MapShape(key=layouts.SockrevKey, value=layouts.SockrevEntry, of_traffic=True),
    "mesh_svcflow": MapShape(key=layouts.SvcflowKey, value=layouts.SvcflowEntry, of_traffic=True),
    "mesh_redirect": MapShape(key=tables.RedirectKey, value=tables.RedirectRecord, of_traffic=True),
    "mesh_frag": MapShape(key=layouts.FragKey, value=layouts.FragEntry, of_traffic=True),
    "mesh_counters": MapShape(key=4, value=tables.Counter, per_cpu=True),
    "mesh_gauges": MapShape(key=4, value=8, per_cpu=True),
    "mesh_tokens": MapShape(key=4, value=layouts.TokenBucket),
    "mesh_config": MapShape(key=4, value=tables.NodeConfig),
    "mesh_fast_path": MapShape(key=4, value=layouts.FastPath),
    "mesh_veth": MapShape(key=4, value=layouts.VethEntry),
    "mesh_meta": MapShape(key=4, value=layouts.DatapathMeta),
    "mesh_map_meta": MapShape(key=4, value=layouts.MapMeta),
}
"""Every map with entries that can be read. Those of OTHER_MAPS and the scratch memory have none."""

BY_ENDPOINT = frozenset({"mesh_spent", "mesh_freed"})
"""Arrays with a place for each number that an endpoint can have."""

LISTENERS = "mesh_listeners"
OTHER_MAPS = ("mesh_events", LISTENERS)
"""The ring buffer, and the map that holds sockets."""

STEMS: dict[str, str] = {
    "ipcache": "mesh_ipcache",
    "endpoint": "mesh_endpoint",
    "endpoint_by_ifindex": "mesh_ep_if",
    "endpoint_by_address": "mesh_ep_addr",
    "endpoint_by_netns": "mesh_ep_ns",
    "policy": "mesh_policy",
    "conntrack": "mesh_ct",
    "spent": "mesh_spent",
    "freed": "mesh_freed",
    "service": "mesh_service",
    "backend": "mesh_backend",
    "redirect": "mesh_redirect",
}
"""Attribute of `interface.Tables` -> map."""


def fields_sha256(shape: MapShape) -> bytes:
    """Changes when a field of the key or of the value moves, grows or is renamed."""
    rows: list[str] = []
    for part in (shape.key, shape.value):
        if isinstance(part, int):
            rows.append(str(part))
        else:
            layout = getattr(part, "LAYOUT", part)
            fields = (getattr(layout, field[0]) for field in layout._fields_)
            rows += [f"{field[0]}:{at.offset}:{at.size}" for field, at in zip(layout._fields_, fields, strict=True)]
    return hashlib.sha256("\n".join(rows).encode()).digest()


def map_of(name: str) -> str | None:
    """The map behind a name as a person gives it: `ipcache`, `mesh_ipcache`, `conntrack` or `ct`; None: no such map."""
    for candidate in (STEMS.get(name, name), f"mesh_{name}"):
        if candidate in SHAPES:
            return candidate
    return None
