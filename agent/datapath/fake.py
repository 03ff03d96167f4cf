"""A datapath made of dictionaries, for tests of the agent: same calls, same errors, no kernel.

Entries make the round through `pack` and `unpack`, so a value that the kernel could not hold fails here too. What the
agent did is open to tests: `attached`, `config`, `prepared`, and `broken` to make hooks go missing.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from agent.datapath import rawview
from agent.datapath.interface import DatapathError, MapFull, Table, Tables
from agent.datapath.mapnames import SHAPES, STEMS, map_of
from agent.datapath.tables import (
    AddressKey,
    BackendEntry,
    Counter,
    CtEntry,
    CtKey,
    EndpointEntry,
    EndpointFreed,
    EndpointSpent,
    FlowEvent,
    IpcacheEntry,
    IpcacheKey,
    NodeConfig,
    PolicyKey,
    PolicyPage,
    RedirectKey,
    RedirectRecord,
    ServiceEntry,
    ServiceKey,
)
from mesh.layouts import Gauge

K = TypeVar("K")
V = TypeVar("V")


class FakeTable(Generic[K, V]):
    """One map in memory. `max_entries` may be lowered by a test to make it full."""

    def __init__(self, name: str, max_entries: int = 262144) -> None:
        self.name = name
        self.max_entries = max_entries
        self._shape = SHAPES[name]
        self._entries: dict[bytes, bytes] = {}

    def get(self, key: K) -> V | None:
        raw = self._entries.get(rawview.pack(self._shape.key, key))
        return None if raw is None else cast(V, rawview.unpack(self._shape.value, raw))

    def put(self, key: K, value: V) -> None:
        raw = rawview.pack(self._shape.key, key)
        if raw not in self._entries and len(self._entries) >= self.max_entries:
            raise MapFull(f"map {self.name} is full ({self.max_entries} entries)")
        self._entries[raw] = rawview.pack(self._shape.value, value)

    def put_many(self, entries: Mapping[K, V]) -> None:
        for key, value in entries.items():
            self.put(key, value)

    def delete(self, key: K) -> None:
        self._entries.pop(rawview.pack(self._shape.key, key), None)

    def delete_many(self, keys: list[K]) -> None:
        for key in keys:
            self.delete(key)

    def items(self) -> Iterator[tuple[K, V]]:
        for key, value in list(self._entries.items()):
            yield cast(K, rawview.unpack(self._shape.key, key)), cast(V, rawview.unpack(self._shape.value, value))

    def raw_items(self) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
        for key, value in list(self._entries.items()):
            yield rawview.entry_of(self._shape, key, value)

    def __len__(self) -> int:
        return len(self._entries)


class FakeTables:
    """All maps. Satisfies `interface.Tables`."""

    def __init__(self) -> None:
        self._all: dict[str, FakeTable[Any, Any]] = {name: FakeTable(name) for name in SHAPES}
        self.ipcache: Table[IpcacheKey, IpcacheEntry] = self._all[STEMS["ipcache"]]
        self.endpoint: Table[int, EndpointEntry] = self._all[STEMS["endpoint"]]
        self.endpoint_by_ifindex: Table[int, int] = self._all[STEMS["endpoint_by_ifindex"]]
        self.endpoint_by_address: Table[AddressKey, int] = self._all[STEMS["endpoint_by_address"]]
        self.endpoint_by_netns: Table[int, int] = self._all[STEMS["endpoint_by_netns"]]
        self.policy: Table[PolicyKey, PolicyPage] = self._all[STEMS["policy"]]
        self.conntrack: Table[CtKey, CtEntry] = self._all[STEMS["conntrack"]]
        self.spent: Table[int, EndpointSpent] = self._all[STEMS["spent"]]
        self.freed: Table[int, EndpointFreed] = self._all[STEMS["freed"]]
        self.service: Table[ServiceKey, ServiceEntry] = self._all[STEMS["service"]]
        self.backend: Table[int, BackendEntry] = self._all[STEMS["backend"]]
        self.redirect: Table[RedirectKey, RedirectRecord] = self._all[STEMS["redirect"]]

    def by_name(self, name: str) -> Table[object, object]:
        found = map_of(name)
        if found is None:
            raise DatapathError(f"no map is called {name!r}; there are: {', '.join(self.names())}")
        return self._all[found]

    def names(self) -> list[str]:
        return sorted(self._all)


class FakeDatapath:
    """Satisfies `interface.Datapath`. `events` holds what read_events hands over; a test appends to it."""

    def __init__(self, *, cold: bool = True) -> None:
        self.tables: Tables = FakeTables()
        self.config: NodeConfig | None = None
        self.prepared = False
        self.attached: set[tuple[str, int | str]] = set()
        """("tc_from_pod", ifindex), ("tc_to_pod", ifindex), ("tc_from_net", ifindex),
        ("tc_from_guest", ifindex), ("cgroup", path)."""
        self.broken: set[str] = set()
        """Texts that hooks_missing reports until the hook is attached again."""
        self.events: deque[FlowEvent] = deque()
        self.counts: dict[tuple[int, int], Counter] = {}
        self.offered: tuple[socket.socket, socket.socket] | None = None
        self.uninstalled = False
        self.obstacles: list[str] = []
        """What fast_path_obstacles reports."""
        self.fast_path: tuple[float, list[int]] = (0, [])
        """As open_fast_path was last told."""
        self._cold = cold
        self._pipe: tuple[int, int] | None = None

    def ensure_loaded(self) -> bool:
        was_cold, self._cold = self._cold, False
        return was_cold

    def configure(self, config: NodeConfig) -> None:
        self.config = config

    def prepare_node(self) -> None:
        self.prepared = True

    def attach_pod(self, ifindex: int) -> None:
        self.detach_pod(ifindex)
        self.attached |= {("tc_from_pod", ifindex), ("tc_to_pod", ifindex)}
        self._heal(ifindex)

    def attach_guest(self, ifindex: int) -> None:
        self.detach_pod(ifindex)
        self.attached.add(("tc_from_guest", ifindex))
        self._heal(ifindex)

    def detach_pod(self, ifindex: int) -> None:
        self.attached -= {(hook, ifindex) for hook in ("tc_from_pod", "tc_to_pod", "tc_from_guest")}

    def attach_uplink(self, ifindex: int) -> None:
        self.attached.add(("tc_from_net", ifindex))
        self._heal(ifindex)

    def fast_path_obstacles(self, *, pods: list[int]) -> list[str]:
        return list(self.obstacles)

    def open_fast_path(self, seconds: float, uplinks: list[int]) -> None:
        self.fast_path = (seconds, uplinks)

    def attach_cgroup(self, path: str) -> None:
        self.attached.add(("cgroup", path))

    def hooks_missing(self, *, pods: list[int], uplinks: list[int], guests: Sequence[int] = ()) -> list[str]:
        wanted = [(hook, index) for index in pods for hook in ("tc_from_pod", "tc_to_pod")]
        wanted += [("tc_from_guest", index) for index in guests]
        wanted += [("tc_from_net", index) for index in uplinks]
        lost = [f"{hook} on ifindex {index}" for hook, index in wanted if (hook, index) not in self.attached]
        return lost + sorted(self.broken)

    def event_fd(self) -> int:
        return self._event_pipe()[0]

    def _event_pipe(self) -> tuple[int, int]:
        """Both ends, made when somebody asks for one: of many hundred fakes few are listened to."""
        if self._pipe is None:
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        return self._pipe

    def announce(self, event: FlowEvent) -> None:
        """For tests: an event comes out of the kernel."""
        self.events.append(event)
        os.write(self._event_pipe()[1], b"x")

    def read_events(self, take: Callable[[FlowEvent], None], *, limit: int) -> int:
        taken = 0
        while self.events and taken < limit:
            take(self.events.popleft())
            taken += 1
        if not self.events:
            try:
                os.read(self._event_pipe()[0], 65536)
            except BlockingIOError:
                return taken
        return taken

    def counters(self) -> dict[tuple[int, int], Counter]:
        return dict(self.counts)

    def gauges(self) -> dict[str, int]:
        return {gauge.name.removeprefix("GAUGE_").lower(): 0 for gauge in Gauge if gauge is not Gauge.GAUGE_COUNT}

    def redirect_map_fd(self) -> int:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def offer_listeners(self, v4: socket.socket, v6: socket.socket) -> None:
        self.offered = (v4, v6)

    def uninstall(self) -> None:
        self.attached.clear()
        self.uninstalled = True

    def close(self) -> None:
        """Give the pipe back, if there is one."""
        for descriptor in self._pipe or ():
            os.close(descriptor)
        self._pipe = None

    def _heal(self, ifindex: int) -> None:
        self.broken = {text for text in self.broken if f"ifindex {ifindex}" not in text}
