"""What callers can ask of the node; the machine is played."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import podnetns
from agent.conntrack_watch import ConntrackWatch
from agent.datapath.interface import DatapathError
from agent.errors import AgentError, EndpointRefused, OutOfStep
from agent.fastpath import FastPath
from agent.files import is_outrun, load_snapshot
from agent.flows import FlowLog
from agent.node import Node
from mesh.model import Revision
from mesh.snapshot import diff
from tests.support import nodes
from tests.support.waiting import until
from tests.unit.agent.test_enforcer import SNAPSHOT, made

ADD = {"namespace": "shop", "pod": "b", "netns": "/run/netns/b", "ifname": "eth0", "host_ifname": "veth-b", "wait_s": 5}


@pytest.fixture
def writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cookie(path: str) -> int:
        return 77

    monkeypatch.setattr(podnetns, "cookie_of", cookie)
    monkeypatch.setattr(podnetns, "ifindex_of", lambda name: 12)


def node_on(tmp_path: Path, writer: ThreadPoolExecutor) -> tuple[Node, Any, Any]:
    enforcer, datapath, _ = made(tmp_path, writer)
    enforcer.endpoints.id_for("shop/a")
    watch = ConntrackWatch(enforcer, datapath.tables, flows_per_pod=10, destroy=lambda *_: True)
    proxy: Any = SimpleNamespace(workers=1, pids=[5])
    node = Node(
        name="node-1", state_dir=tmp_path, datapath=datapath, enforcer=enforcer, endpoints=enforcer.endpoints,
        conntrack=watch, proxy=proxy, flows=FlowLog(), checks=lambda: [{"check": "kernel"}],
        fast_path=FastPath(datapath, wanted=True),
    )  # fmt: skip
    return node, enforcer, datapath


def with_b(revision: int = 2) -> Any:
    pods = {**SNAPSHOT.endpoints, "shop/b": nodes.pod("b", "10.9.0.2", 301, "a")}
    return replace(SNAPSHOT, revision=Revision(revision), endpoints=pods)


def test_add_answers_when_the_pod_is_enforced(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        node, _, datapath = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        adding = asyncio.ensure_future(node.calls()["endpoint.add"](ADD))
        await until(lambda: datapath.tables.endpoint.get(2) is not None and ("tc_from_pod", 12) in datapath.attached)
        entry = datapath.tables.endpoint.get(2)
        assert (entry.policy_set, entry.netns_cookie) == (0, 77)
        assert ("tc_from_pod", 12) in datapath.attached
        assert not adding.done()
        await node.take_news([diff(SNAPSHOT, with_b())])
        assert await adding == {"id": 2, "state": "enforced", "ifindex": 12}
        assert datapath.tables.endpoint.get(2).policy_set != 0

    asyncio.run(story())


def test_a_late_word_about_an_old_attachment_takes_no_newer_one_away(
    tmp_path: Path, writer: ThreadPoolExecutor
) -> None:
    """A runtime may say that the old sandbox is gone after it has announced the new one."""

    async def story() -> None:
        node, enforcer, datapath = node_on(tmp_path, writer)
        await node.take_news([with_b(1)])
        await node.calls()["endpoint.add"](ADD)
        late = {"namespace": "shop", "pod": "b", "netns": "/run/netns/old"}
        assert await node.calls()["endpoint.remove"](late) == {"removed": False}
        await node.remove(replace(enforcer.state.local["shop/b"], ifindex=11))
        assert ("tc_from_pod", 12) in datapath.attached
        assert enforcer.endpoints.life("shop/b").value == "enforced"
        now = {"namespace": "shop", "pod": "b", "netns": "/run/netns/b"}
        assert await node.calls()["endpoint.remove"](now) == {"removed": True}
        assert ("tc_from_pod", 12) not in datapath.attached

    asyncio.run(story())


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
            go_on.wait(5)
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


def test_add_that_waits_in_vain_says_whom_it_waits_for(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        node, _, _ = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        node.controller = lambda: (False, "connection refused")
        with pytest.raises(EndpointRefused, match=r"denied everything: the controller is away \(connection refused\)"):
            await node.calls()["endpoint.add"]({**ADD, "wait_s": 0.05})

    asyncio.run(story())


def test_add_that_nothing_came_of_does_not_say_that_the_pod_is_denied(
    tmp_path: Path, writer: ThreadPoolExecutor
) -> None:
    async def story() -> None:
        node, enforcer, datapath = node_on(tmp_path, writer)
        with pytest.raises(EndpointRefused, match=r"not attached, so nothing is denied: the controller is away"):
            await node.calls()["endpoint.add"]({**ADD, "wait_s": 0})
        async with asyncio.timeout(1):
            await enforcer.unbroken.ended()  # and nothing is left that the agent's end would wait for
        await node.take_news([SNAPSHOT])
        assert ("tc_from_pod", 12) not in datapath.attached
        async with enforcer._lock:
            with pytest.raises(EndpointRefused, match=r"not attached, .*: other changes are still being written"):
                await node.calls()["endpoint.add"]({**ADD, "wait_s": 0.01})

    asyncio.run(story())


def test_add_twice_is_the_same_and_remove_leaves_nothing(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        node, _, datapath = node_on(tmp_path, writer)
        await node.take_news([with_b()])
        calls = node.calls()
        assert await calls["endpoint.add"](ADD) == await calls["endpoint.add"](ADD)
        saved = json.loads((tmp_path / "endpoints.json").read_text())
        assert {item["name"] for item in saved["endpoints"]} == {"a", "b"}
        assert await calls["endpoint.remove"](ADD) == {"removed": True}
        assert await calls["endpoint.remove"](ADD) == {"removed": False}
        assert list(dict(datapath.tables.endpoint.items())) == [1]
        assert [row["pod"] for row in await calls["endpoint.list"]({})] == ["a"]

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
            go_on.wait(5)
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


@pytest.mark.parametrize("wrong", [{"pod": ""}, {"namespace": 3}, {"wait_s": "long"}, {"wait_s": -1}, {"netns": None}])
def test_wrong_arguments_are_named(tmp_path: Path, writer: ThreadPoolExecutor, wrong: dict[str, Any]) -> None:
    async def story() -> None:
        node, _, _ = node_on(tmp_path, writer)
        await node.take_news([SNAPSHOT])
        with pytest.raises(AgentError, match=next(iter(wrong))):
            await node.calls()["endpoint.add"]({**ADD, **wrong})

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
