"""Walking the conntrack map."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import conntrack_watch
from agent.conntrack_watch import ConntrackWatch
from agent.datapath.tables import EndpointFreed, EndpointSpent
from agent.state import detach
from mesh.model import Revision
from tests.support import nodes
from tests.unit.agent.test_enforcer import SNAPSHOT, made, take
from tests.unit.agent.test_evaluate import ENTRY, KEY


@pytest.fixture
def writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def story_of(tmp_path: Path, writer: ThreadPoolExecutor) -> tuple[Any, Any, ConntrackWatch, list[Any]]:
    enforcer, datapath, _ = made(tmp_path, writer)
    destroyed: list[Any] = []

    def destroy(*socket: Any) -> bool:
        destroyed.append(socket)
        return True

    return (
        enforcer,
        datapath.tables.conntrack,
        ConntrackWatch(enforcer, datapath.tables, flows_per_pod=10, destroy=destroy),
        destroyed,
    )


def entry(**more: Any) -> Any:
    return replace(ENTRY, expires_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 10**12, **more)


def test_an_idle_flow_that_policy_forbids_loses_its_socket_first_and_its_entry_later(
    tmp_path: Path, writer: ThreadPoolExecutor
) -> None:
    async def story() -> None:
        enforcer, table, watch, destroyed = story_of(tmp_path, writer)
        await enforcer.change(take, first=True)
        table.put(KEY, entry(epoch=1))
        assert await watch.walk() == []
        changed = replace(SNAPSHOT, revision=Revision(2), policies={"a": nodes.policy("a")})
        await enforcer.change(lambda state: replace(state, snapshot=changed))
        assert [item.key for item in await watch.walk()] == [KEY]
        assert destroyed == [("/run/netns/a", 6, KEY.destination, 80, KEY.source, 4000)]
        assert table.get(KEY) is not None
        await watch.walk()
        assert table.get(KEY) is None
        assert len(destroyed) == 1

    asyncio.run(story())


def test_expired_entries_and_those_of_nobody_are_collected(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, table, watch, _ = story_of(tmp_path, writer)
        await enforcer.change(take, first=True)
        table.put(KEY, replace(ENTRY, expires_ns=1))
        table.put(replace(KEY, endpoint=77), entry(epoch=1))
        table.put(replace(KEY, sport=1), entry(epoch=1))
        await watch.walk()
        assert [key.sport for key, _ in table.items()] == [1]
        assert (watch.collected, watch.entries) == (2, 1)

    asyncio.run(story())


def test_a_pod_that_takes_over_a_number_does_not_inherit_flows(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, table, watch, _ = story_of(tmp_path, writer)
        await enforcer.change(take, first=True)
        table.put(KEY, entry(epoch=1))
        watch.forget(1)
        await watch.walk()
        assert table.get(KEY) is None
        table.put(KEY, entry(epoch=1))
        await watch.walk()
        assert table.get(KEY) is not None

    asyncio.run(story())


def test_whoever_gets_a_lost_peers_address_does_not_inherit_its_flows(
    tmp_path: Path, writer: ThreadPoolExecutor
) -> None:
    async def story() -> None:
        enforcer, table, watch, _ = story_of(tmp_path, writer)
        await enforcer.change(take, first=True)
        other = replace(KEY, source=nodes.address("10.9.1.2"))
        table.put(KEY, entry(epoch=1))
        table.put(other, entry(epoch=1))
        ipcache = {p: item for p, item in SNAPSHOT.ipcache.items() if p != nodes.prefix("10.9.1.1/32")}
        lost = replace(SNAPSHOT, revision=Revision(2), ipcache=ipcache)
        watch.changed(await enforcer.change(lambda state: replace(state, snapshot=lost)))
        await watch.walk()
        assert [key for key, _ in table.items()] == [other]

        table.put(KEY, entry(epoch=1))  # the next owner's
        await watch.walk()
        assert table.get(KEY) is not None

    asyncio.run(story())


def test_a_flow_that_begins_during_a_walk_is_left_alone(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    """The expired entry that was seen may be another flow's by the time it is taken out."""

    async def story() -> None:
        enforcer, table, watch, _ = story_of(tmp_path, writer)
        await enforcer.change(take, first=True)
        fresh = entry(epoch=1, created_ns=5)
        table.put(KEY, replace(ENTRY, expires_ns=1))
        listed = list(table.items())

        def items() -> Iterator[Any]:
            yield from listed
            table.put(KEY, fresh)

        table.items = items
        await watch.walk()
        assert table.get(KEY) == fresh
        assert watch.collected == 0

    asyncio.run(story())


def test_a_condemned_flow_that_was_allowed_again_keeps_its_entry(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, table, watch, _ = story_of(tmp_path, writer)
        await enforcer.change(take, first=True)
        table.put(KEY, entry(epoch=1))
        changed = replace(SNAPSHOT, revision=Revision(2), policies={"a": nodes.policy("a")})
        await enforcer.change(lambda state: replace(state, snapshot=changed))
        assert len(await watch.walk()) == 1
        enforced = enforcer.reconciler.realized.endpoint[1].epoch
        table.put(KEY, entry(epoch=enforced))
        await watch.walk()
        assert table.get(KEY) is not None

    asyncio.run(story())


def test_a_share_is_given_back_with_the_entries(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, datapath, _ = made(tmp_path, writer)
        tables, table = datapath.tables, datapath.tables.conntrack
        watch = ConntrackWatch(enforcer, tables, flows_per_pod=10, destroy=lambda *_: True)
        await enforcer.change(take, first=True)
        for number in range(9):
            table.put(replace(KEY, sport=number), entry(epoch=1))
        table.put(replace(KEY, sport=99), replace(ENTRY, expires_ns=1))
        tables.spent.put(1, EndpointSpent(received=10_000))  # a count that is far too high
        await watch.walk()
        assert tables.freed.get(1) == EndpointFreed(received=10_000 - 9)
        assert watch.fullest() == 0.9
        assert watch.crowded() == ["pod shop/a has 9 tracked flows from elsewhere, of 10 that one pod may have"]

        tables.spent.put(1, EndpointSpent(received=10_004))
        for number in range(4):
            table.put(replace(KEY, sport=1000 + number), entry(epoch=1))
        await watch.walk()
        assert tables.freed.get(1) == EndpointFreed(received=10_000 - 9)

    asyncio.run(story())


def test_a_flow_that_goes_on_in_the_moment_of_its_end_stays(
    tmp_path: Path, writer: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed just before it expires, and refreshed by a packet while the walk lasts."""

    async def story() -> None:
        enforcer, table, watch, _ = story_of(tmp_path, writer)
        await enforcer.change(take, first=True)
        ends = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        now = [ends - 1]
        monkeypatch.setattr(conntrack_watch, "_now_ns", lambda: now[0])
        ending = replace(entry(epoch=1), expires_ns=ends)
        table.put(KEY, ending)
        listed = list(table.items())

        def items() -> Any:
            table.put(KEY, replace(ending, expires_ns=ends + 10**9))
            now[0] = ends + 1
            return iter(listed)

        monkeypatch.setattr(table, "items", items)
        await watch.walk()
        assert table.get(KEY) is not None

    asyncio.run(story())


def test_a_pod_that_left_leaves_no_debt_to_the_next_with_its_number(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, datapath, _ = made(tmp_path, writer)
        tables, table = datapath.tables, datapath.tables.conntrack
        watch = ConntrackWatch(enforcer, tables, flows_per_pod=10, destroy=lambda *_: True)
        await enforcer.change(take, first=True)
        table.put(KEY, entry(epoch=1))
        tables.spent.put(1, EndpointSpent(received=1))
        await watch.walk()
        assert tables.freed.get(1) == EndpointFreed()
        await enforcer.change(lambda state: detach(state, state.local["shop/a"]))
        await watch.walk()
        assert tables.freed.get(1) == EndpointFreed(received=1)
        assert watch.crowded() == []

    asyncio.run(story())
