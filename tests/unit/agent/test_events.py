"""Events out of the ring."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from agent import events
from agent.datapath.fake import FakeDatapath
from agent.events import EventReader
from agent.flows import FlowLog
from tests.support.waiting import until
from tests.unit.agent.test_flows import EVENT, names


def test_events_become_records_as_they_come_and_redirects_are_counted() -> None:
    async def story() -> None:
        datapath, flows = FakeDatapath(), FlowLog()
        reader = EventReader(datapath, names, flows, "node-1")
        running = asyncio.ensure_future(reader.run())
        await asyncio.sleep(0)
        datapath.announce(EVENT)
        datapath.announce(replace(EVENT, verdict=3))
        datapath.announce(replace(EVENT, dport=81))
        await until(lambda: len(flows) == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        records, _ = flows.take(10)
        assert [item.destination.port for item in records] == [80, 81]
        assert len({item.id for item in records}) == 2
        assert all(item.id.startswith("node-1-") for item in records)
        assert reader.redirected == 1
        datapath.close()

    asyncio.run(story())


def test_records_follow_a_clock_that_is_set_while_the_agent_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    datapath, flows, hour = FakeDatapath(), FlowLog(), 3600 * 10**9
    reader, real = EventReader(datapath, names, flows, "node-1"), time.time_ns
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    for number, ahead in enumerate((0, hour)):
        monkeypatch.setattr(time, "time_ns", lambda ahead=ahead: real() + ahead)
        datapath.announce(replace(EVENT, time_ns=now, dport=80 + number))
        reader._read_some()
    (first, second), _ = flows.take(10)
    assert abs(second.time_ns - first.time_ns - hour) < hour / 2
    datapath.close()


def test_what_the_kernel_lost_is_counted_once(monkeypatch: object) -> None:
    datapath, flows = FakeDatapath(), FlowLog()
    reader = EventReader(datapath, names, flows, "node-1")
    datapath.gauges = lambda: {"events_lost": 7}  # type: ignore[method-assign]
    reader._count_lost()
    reader._count_lost()
    assert flows.lost_total == 7
    datapath.close()


def test_a_flood_of_events_leaves_the_agent_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the ring gives, but with a pause after each handful."""

    async def story() -> None:
        monkeypatch.setattr(events, "BREATH_S", 0.05)
        datapath = FakeDatapath()
        reader = EventReader(datapath, names, FlowLog(), "node-1")
        taken: list[int] = []

        def endless(take: object, *, limit: int) -> int:
            taken.append(limit)
            return limit

        monkeypatch.setattr(datapath, "read_events", endless)
        running = asyncio.ensure_future(reader.run())
        datapath.announce(EVENT)
        await until(lambda: len(taken) >= 3)
        started = asyncio.get_running_loop().time()
        seen = len(taken)
        await until(lambda: len(taken) >= seen + 4)
        assert asyncio.get_running_loop().time() - started >= 3 * 0.05
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        datapath.close()

    asyncio.run(story())
