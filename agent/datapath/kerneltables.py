"""The pinned maps as `interface.Table`s: packs keys and values, turns errno into sentences."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from agent.datapath import libbpf, rawview
from agent.datapath.interface import DatapathError, MapFull, Table
from agent.datapath.mapnames import SHAPES, STEMS, map_of
from agent.datapath.tables import (
    AddressKey,
    BackendEntry,
    CtEntry,
    CtKey,
    EndpointEntry,
    EndpointFreed,
    EndpointSpent,
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
from mesh import layouts

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S", bound=ctypes.Structure)


@contextmanager
def _told(name: str, max_entries: int) -> Iterator[None]:
    try:
        yield
    except libbpf.KernelError as error:
        if error.errno in (errno.E2BIG, errno.ENOSPC):
            raise MapFull(f"map {name} is full ({max_entries} entries)") from error
        raise DatapathError(f"map {name}: {error.strerror}") from error


class KernelTable(Generic[K, V]):
    """One pinned map."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._shape = SHAPES[path.name]
        self._map = libbpf.Map(str(path))
        self.max_entries = self._map.max_entries

    def close(self) -> None:
        self._map.close()

    def get(self, key: K) -> V | None:
        with self._errors():
            raw = self._map.lookup(rawview.pack(self._shape.key, key))
        return None if raw is None else cast(V, rawview.unpack(self._shape.value, raw))

    def put(self, key: K, value: V) -> None:
        with self._errors():
            self._map.update(rawview.pack(self._shape.key, key), rawview.pack(self._shape.value, value))

    def put_many(self, entries: Mapping[K, V]) -> None:
        shape = self._shape
        packed = [(rawview.pack(shape.key, key), rawview.pack(shape.value, value)) for key, value in entries.items()]
        with self._errors():
            self._map.update_many(packed)

    def delete(self, key: K) -> None:
        with self._errors():
            self._map.delete(rawview.pack(self._shape.key, key))

    def delete_many(self, keys: list[K]) -> None:
        with self._errors():
            self._map.delete_many([rawview.pack(self._shape.key, key) for key in keys])

    def items(self) -> Iterator[tuple[K, V]]:
        with self._errors():
            for key, value in self._map.items():
                yield cast(K, rawview.unpack(self._shape.key, key)), cast(V, rawview.unpack(self._shape.value, value))

    def raw_items(self) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
        with self._errors():
            for key, value in self._map.items():
                yield rawview.entry_of(self._shape, key, value)

    def raw(self, key: bytes) -> bytes | None:
        with self._errors():
            return self._map.lookup(key)

    def _errors(self) -> Any:
        return _told(self.name, self.max_entries)


class KernelTables:
    """All pinned maps of one instance. Satisfies `interface.Tables`."""

    def __init__(self, folder: Path) -> None:
        self._all: dict[str, KernelTable[Any, Any]] = {name: KernelTable(folder / name) for name in SHAPES}
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
        self.config: Table[int, NodeConfig] = self._all["mesh_config"]
        self.fast_path: Table[int, layouts.FastPath] = self._all["mesh_fast_path"]
        self.veth: Table[int, layouts.VethEntry] = self._all["mesh_veth"]

    def by_name(self, name: str) -> Table[object, object]:
        found = map_of(name)
        if found is None:
            raise DatapathError(f"no map is called {name!r}; there are: {', '.join(self.names())}")
        return self._all[found]

    def names(self) -> list[str]:
        return sorted(self._all)

    def per_cpu(self, name: str, index: int, layout: type[S]) -> list[S]:
        """Each CPU's value of a per-CPU array entry."""
        raw = self._all[name].raw(index.to_bytes(4, "little")) or b""
        size = (ctypes.sizeof(layout) + 7) // 8 * 8
        return [layout.from_buffer_copy(raw, start) for start in range(0, len(raw), size)]

    def per_cpu_number(self, name: str, index: int) -> int:
        raw = self._all[name].raw(index.to_bytes(4, "little")) or b""
        return sum(int.from_bytes(raw[start : start + 8], "little") for start in range(0, len(raw), 8))

    def close(self) -> None:
        for table in self._all.values():
            table.close()
