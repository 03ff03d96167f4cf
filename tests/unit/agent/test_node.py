"""What callers can ask of the node; the machine is played."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.attachments import Attachments
from agent.conntrack_watch import ConntrackWatch
from agent.datapath.interface import DatapathError
from agent.errors import AgentError, OutOfStep
from agent.fastpath import FastPath
from agent.files import is_outrun, load_snapshot
from agent.flows import FlowLog
from agent.heal import Healer
from agent.node import Node
from agent.sync import Connection
from mesh.model import Revision
from mesh.snapshot import diff
from tests.support import nodes
from tests.support.waiting import LONGEST_S, until
from tests.unit.agent.test_enforcer import SNAPSHOT, made


@pytest.fixture
def writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def node_on(tmp_path: Path, writer: ThreadPoolExecutor) -> tuple[Node, Any, Any]:
    enforcer, datapath, _ = made(tmp_path, writer)
    enforcer.endpoints.id_for("shop/a")
    watch = ConntrackWatch(enforcer, datapath.tables, flows_per_pod=10, destroy=lambda *_: True)
    proxy: Any = SimpleNamespace(workers=1, pids=[5])
    connection, fast_path = Connection(), FastPath(datapath, wanted=True)
    pods = Attachments(enforcer, enforcer.endpoints, connection, forget=watch.forget)
    healer = Healer(enforcer, datapath, fast_path, uplinks=("eth0",), cgroup="/cg", remove=pods.remove)
    node = Node(
        name="node-1", state_dir=tmp_path, datapath=datapath, enforcer=enforcer, endpoints=enforcer.endpoints,
        conntrack=watch, proxy=proxy, flows=FlowLog(), checks=lambda: [{"check": "kernel"}],
        fast_path=fast_path, attachments=pods, healer=healer, connection=connection,
    )  # fmt: skip
    return node, enforcer, datapath


def with_b(revision: int = 2) -> Any:
    pods = {**SNAPSHOT.endpoints, "shop/b": nodes.pod("b", "10.9.0.2", 301, "a")}
    return replace(SNAPSHOT, revision=Revision(revision), endpoints=pods)


def test_news_that_nobody_waits_for_any_more_come_into_force_whole(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    """The stream breaks in the middle: kernel, state and the mark beside the snapshot must agree."""

    async def story() -> None:
        node, enforcer, datapath = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        await node.save()
        entered, go_on = threading.Event(), threading.Event()
        table = datapath.tables.ipcache
        working = table.put_many

        def slow(entries: Any) -> None:
            entered.set()
            go_on.wait(LONGEST_S)
            working(entries)

        table.put_many = slow
        taking = asyncio.ensure_future(node.take_news([diff(SNAPSHOT, with_b())]))
        await until(entered.is_set)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert is_outrun(tmp_path / "snapshot.pb"), "a restart now must not believe the snapshot on disk"
        go_on.set()
        await enforcer.unbroken.ended()
        assert node.revision() == 2
        assert is_outrun(tmp_path / "snapshot.pb")
        await node.save()
        assert not is_outrun(tmp_path / "snapshot.pb")

    asyncio.run(story())


def test_news_left_half_way_end_before_the_next_begin(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    """Both use the one mark beside the snapshot: a failure of the first must not take away that of the second."""

    async def story() -> None:
        node, enforcer, datapath = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        await node.save()
        entered, go_on = threading.Event(), threading.Event()
        table = datapath.tables.ipcache
        working = table.put_many
        marked: list[bool] = []

        def seen(entries: Any) -> None:
            marked.append(is_outrun(tmp_path / "snapshot.pb"))
            working(entries)

        def failing(entries: Any) -> None:
            entered.set()
            go_on.wait(LONGEST_S)
            table.put_many = seen
            raise DatapathError("no memory")

        table.put_many = failing
        left = asyncio.ensure_future(node.take_news([with_b()]))
        await until(entered.is_set)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        settled = asyncio.ensure_future(node.settled())
        following = asyncio.ensure_future(node.take_news([with_b(3)]))
        await asyncio.sleep(0)
        assert not settled.done()
        go_on.set()
        await asyncio.gather(settled, following)
        assert marked
        assert all(marked)

    asyncio.run(story())


def test_status_counts_and_warns(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        node, enforcer, _ = node_on(tmp_path, writer)
        assert node.status().state == "starting"
        await node.take_news([SNAPSHOT])
        assert (node.status().endpoints, node.status().endpoints_enforced, node.revision()) == (1, 1, 1)
        await enforcer.set_proxy(False)
        status = await node.calls()["status"]({})
        assert status["warnings"] == ["no proxy: flows that need it are reset"]
        assert status["proxyPids"] == [5]
        assert (await node.calls()["doctor"]({}))["checks"] == [{"check": "kernel"}]

    asyncio.run(story())


def test_commands_of_the_controller(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        node, _, _ = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        rows = (await node.answer("endpoint-list", {}))["endpoints"]
        assert [(row["pod"], row["state"], row["ips"]) for row in rows] == [("a", "enforced", ["10.9.0.1"])]
        assert (await node.answer("map-dump", {"name": "ipcache"}))["entries"]
        assert (await node.answer("map-dump", {"name": "policy"}))["entries"]
        assert (await node.answer("map-dump", {"name": "policy", "chains": True}))["chains"]
        assert (await node.answer("map-dump", {"name": "ipcache", "chains": True}))["entries"]
        assert "no map is called 'x'" in (await node.answer("map-dump", {"name": "x"}))["refused"]
        assert (await node.answer("conntrack-list", {}))["entries"] == []
        with pytest.raises(AgentError, match="no command 'reboot'"):
            await node.answer("reboot", {})

    asyncio.run(story())


def test_a_change_outruns_the_snapshot_on_disk_until_it_is_saved(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        node, _, _ = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        assert is_outrun(tmp_path / "snapshot.pb")
        await node.save()
        assert not is_outrun(tmp_path / "snapshot.pb")
        with pytest.raises(OutOfStep):
            await node.take_news([diff(with_b(7), with_b(9))])
        assert not is_outrun(tmp_path / "snapshot.pb")
        await asyncio.gather(node.take_news([with_b()]), node.save())
        assert is_outrun(tmp_path / "snapshot.pb")

    asyncio.run(story())


def test_the_last_good_snapshot_is_kept_and_a_full_disk_is_a_warning(
    tmp_path: Path, writer: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        node, _, _ = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        await node.save()
        assert load_snapshot(tmp_path / "snapshot.pb", "node-1") == SNAPSHOT
        (tmp_path / "snapshot.pb.new").mkdir()
        await node.take_news([with_b()])
        await node.save()
        assert any("snapshot.pb" in text for text in node.warnings())
        assert load_snapshot(tmp_path / "snapshot.pb", "node-1") == SNAPSHOT

    asyncio.run(story())


def test_status_tells_of_a_full_map_and_reads_none_for_it(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    """It is asked several times a second, on the event loop: copying a large map would hold up everything else."""

    async def story() -> None:
        node, enforcer, datapath = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        for table in (datapath.tables.ipcache, datapath.tables.policy, datapath.tables.conntrack):
            table.items = table.raw_items = lambda: pytest.fail("status walks a map")
        assert node.status().warnings == ()
        datapath.tables.ipcache.max_entries = enforcer.reconciler.realized.size("ipcache")
        assert node.status().warnings == ("maps nearly full: mesh_ipcache 100%",)

    asyncio.run(story())
