"""A mirror of what the kernel's maps hold, kept by the one who writes them. Pure: no kernel call is made here.

The mirror is filled once at start from the maps themselves and follows each write, so a change costs no walk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.datapath.tables import (
    AddressKey,
    BackendEntry,
    EndpointEntry,
    IpcacheEntry,
    IpcacheKey,
    PolicyKey,
    PolicyPage,
    ServiceEntry,
    ServiceKey,
)
from agent.policysets import Where

TABLES = (
    "ipcache",
    "endpoint",
    "endpoint_by_ifindex",
    "endpoint_by_address",
    "endpoint_by_netns",
    "service",
    "backend",
)
"""Tables mirrored key by key; `policy` is mirrored by set and identity."""


@dataclass(slots=True, kw_only=True)
class Realized:
    ipcache: dict[IpcacheKey, IpcacheEntry] = field(default_factory=dict)
    endpoint: dict[int, EndpointEntry] = field(default_factory=dict)
    endpoint_by_ifindex: dict[int, int] = field(default_factory=dict)
    endpoint_by_address: dict[AddressKey, int] = field(default_factory=dict)
    endpoint_by_netns: dict[int, int] = field(default_factory=dict)
    service: dict[ServiceKey, ServiceEntry] = field(default_factory=dict)
    backend: dict[int, BackendEntry] = field(default_factory=dict)
    sets: dict[int, dict[int, dict[Where, PolicyPage]]] = field(default_factory=dict)
    policy_entries: int = 0
    hooks: set[int] = field(default_factory=set)
    """Interfaces that this process has attached to; after a restart none, so each is attached again, in place."""
    guests: set[int] = field(default_factory=set)
    """The same of pods that are not enrolled."""

    def size(self, table: str) -> int:
        return self.policy_entries if table == "policy" else len(getattr(self, table))

    def get(self, table: str, key: Any) -> Any:
        if table == "policy":
            return self.sets.get(key.set, {}).get(key.identity, {}).get(_where(key))
        return getattr(self, table).get(key)

    def put(self, table: str, key: Any, value: Any) -> None:
        if table != "policy":
            getattr(self, table)[key] = value
            return
        part = self.sets.setdefault(key.set, {}).setdefault(key.identity, {})
        where = _where(key)
        if where not in part:
            self.policy_entries += 1
        part[where] = value

    def delete(self, table: str, key: Any) -> None:
        if table != "policy":
            getattr(self, table).pop(key, None)
            return
        parts = self.sets.get(key.set, {})
        part = parts.get(key.identity, {})
        if part.pop(_where(key), None) is None:
            return
        self.policy_entries -= 1
        if not part:
            del parts[key.identity]
        if not parts:
            del self.sets[key.set]


def _where(key: PolicyKey) -> Where:
    return (key.direction, key.page)
