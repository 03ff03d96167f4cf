"""Records become events; those of another version's size are counted, not guessed at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.datapath import events
from agent.datapath.tables import FlowEvent


class FakeRing:
    def __init__(self, _path: str) -> None:
        self.records = [bytes(88), bytes(96), bytes(40)]

    def consume(self, take: Callable[[bytes], None], *, limit: int) -> int:
        for record in self.records[:limit]:
            take(record)
        return min(limit, len(self.records))


def test_records_are_unpacked_and_short_ones_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "RingBuffer", FakeRing)
    reader = events.EventReader("unused")
    taken: list[FlowEvent] = []
    assert reader.read(taken.append, limit=10) == 3
    assert taken == [FlowEvent.unpack(bytes(88))] * 2  # rounded up by the ring: the tail is not ours
    assert reader.unreadable == 1
