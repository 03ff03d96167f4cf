"""Records out of the kernel's ring buffer, as `FlowEvent`s. Knows the layout, not what the records mean."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from agent.datapath.libbpf import RingBuffer
from agent.datapath.tables import FlowEvent
from mesh import layouts

_SIZE = ctypes.sizeof(layouts.FlowEvent)


class EventReader:
    """The one consumer of an instance's mesh_events."""

    def __init__(self, path: str) -> None:
        self._ring = RingBuffer(path)
        self.unreadable = 0
        """Records of another size: made by programs of another version that still hang somewhere."""

    def fd(self) -> int:
        return self._ring.fd()

    def read(self, take: Callable[[FlowEvent], None], *, limit: int) -> int:
        """Hand over at most `limit` events; returns how many."""

        def one(raw: bytes) -> None:
            if len(raw) < _SIZE:
                self.unreadable += 1
                return
            take(FlowEvent.unpack(raw[:_SIZE]))

        return self._ring.consume(one, limit=limit)

    def close(self) -> None:
        self._ring.close()
