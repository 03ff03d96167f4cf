"""Pods that come, go, and were there before the agent; the machine is played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import podnetns
from agent.attachments import Attachments
from agent.enforcer import Enforcer
from agent.errors import AgentError, EndpointRefused
from agent.state import receive
from agent.sync import Connection
from mesh.snapshot import Delta, NodeSnapshot, diff
from tests.support.waiting import LONGEST_S, until
from tests.unit.agent.test_enforcer import SNAPSHOT, made
from tests.unit.agent.test_node import with_b

ADD = {"namespace": "shop", "pod": "b", "netns": "/run/netns/b", "ifname": "eth0", "host_ifname": "veth-b"}


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
    monkeypatch.setattr(podnetns, "interfaces", lambda: {12: "veth-b"})


def attachments_on(
    tmp_path: Path, writer: ThreadPoolExecutor, connection: Connection | None = None
) -> tuple[Attachments, Enforcer, Any]:
    enforcer, datapath, _ = made(tmp_path, writer)
    enforcer.endpoints.id_for("shop/a")
    pods = Attachments(enforcer, enforcer.endpoints, connection or Connection(), forget=lambda number: None)
    return pods, enforcer, datapath


async def told(enforcer: Enforcer, news: NodeSnapshot | Delta) -> None:
    await enforcer.change(lambda held: receive(held, news), first=True)


def test_add_answers_when_the_pod_is_enforced(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        pods, enforcer, datapath = attachments_on(tmp_path, writer)
        await told(enforcer, SNAPSHOT)
        adding = asyncio.ensure_future(pods.add(ADD))
        await until(lambda: datapath.tables.endpoint.get(2) is not None and ("tc_from_pod", 12) in datapath.attached)
        entry = datapath.tables.endpoint.get(2)
        assert (entry.policy_set, entry.netns_cookie) == (0, 77)
        assert ("tc_from_pod", 12) in datapath.attached
        assert not adding.done()
        await told(enforcer, diff(SNAPSHOT, with_b()))
        assert await adding == {"id": 2, "state": "enforced", "ifindex": 12}
        assert datapath.tables.endpoint.get(2).policy_set != 0

    asyncio.run(story())


def test_a_late_word_about_an_old_attachment_takes_no_newer_one_away(
    tmp_path: Path, writer: ThreadPoolExecutor
) -> None:
    """A runtime may say that the old sandbox is gone after it has announced the new one."""

    async def story() -> None:
        pods, enforcer, datapath = attachments_on(tmp_path, writer)
        await told(enforcer, with_b(1))
        await pods.add(ADD)
        late = {"namespace": "shop", "pod": "b", "netns": "/run/netns/old"}
        assert await pods.remove_named(late) == {"removed": False}
        await pods.remove(replace(enforcer.state.local["shop/b"], ifindex=11))
        assert ("tc_from_pod", 12) in datapath.attached
        assert enforcer.endpoints.life("shop/b").value == "enforced"
        now = {"namespace": "shop", "pod": "b", "netns": "/run/netns/b"}
        assert await pods.remove_named(now) == {"removed": True}
        assert ("tc_from_pod", 12) not in datapath.attached

    asyncio.run(story())


def test_add_that_waits_in_vain_says_whom_it_waits_for(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        pods, enforcer, _ = attachments_on(tmp_path, writer, Connection(error="connection refused"))
        await told(enforcer, SNAPSHOT)
        patient = asyncio.ensure_future(pods.add(ADD))
        await until(lambda: "shop/b" in enforcer.state.local)
        with pytest.raises(EndpointRefused, match=r"denied everything: the controller is away \(connection refused\)"):
            await pods.add({**ADD, "wait_s": 0.05})
        patient.cancel()
        await asyncio.gather(patient, return_exceptions=True)

    asyncio.run(story())


def test_add_that_nothing_came_of_does_not_say_that_the_pod_is_denied(
    tmp_path: Path, writer: ThreadPoolExecutor
) -> None:
    async def story() -> None:
        pods, enforcer, datapath = attachments_on(tmp_path, writer)
        with pytest.raises(EndpointRefused, match=r"not attached, so nothing is denied: the controller is away"):
            await pods.add({**ADD, "wait_s": 0})
        async with asyncio.timeout(LONGEST_S):
            await enforcer.unbroken.ended()  # and nothing is left that the agent's end would wait for
        await told(enforcer, SNAPSHOT)
        assert ("tc_from_pod", 12) not in datapath.attached
        async with enforcer._lock:
            with pytest.raises(EndpointRefused, match=r"not attached, .*: other changes are still being written"):
                await pods.add({**ADD, "wait_s": 0.01})

    asyncio.run(story())


def test_add_twice_is_the_same_and_remove_leaves_nothing(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        pods, enforcer, datapath = attachments_on(tmp_path, writer)
        await told(enforcer, with_b())
        assert await pods.add(ADD) == await pods.add(ADD)
        saved = json.loads((tmp_path / "endpoints.json").read_text())
        assert {item["name"] for item in saved["endpoints"]} == {"a", "b"}
        assert await pods.remove_named(ADD) == {"removed": True}
        assert await pods.remove_named(ADD) == {"removed": False}
        assert list(dict(datapath.tables.endpoint.items())) == [1]
        assert list(enforcer.state.local) == ["shop/a"]

    asyncio.run(story())


@pytest.mark.parametrize("wrong", [{"pod": ""}, {"namespace": 3}, {"wait_s": "long"}, {"wait_s": -1}, {"netns": None}])
def test_wrong_arguments_are_named(tmp_path: Path, writer: ThreadPoolExecutor, wrong: dict[str, Any]) -> None:
    async def story() -> None:
        pods, enforcer, _ = attachments_on(tmp_path, writer)
        await told(enforcer, SNAPSHOT)
        with pytest.raises(AgentError, match=next(iter(wrong))):
            await pods.add({**ADD, **wrong})

    asyncio.run(story())


def test_a_disk_that_is_full_is_a_warning_until_it_has_room(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        pods, enforcer, _ = attachments_on(tmp_path, writer)
        await told(enforcer, with_b())
        blocked = tmp_path / "endpoints.json.new"
        blocked.mkdir()
        await pods.add(ADD)
        assert "endpoints.json" in pods.disk_warning
        blocked.rmdir()
        await pods.remove_named(ADD)
        assert pods.disk_warning == ""

    asyncio.run(story())


def test_pods_that_left_while_the_agent_was_away_are_forgotten(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    pods, enforcer, _ = attachments_on(tmp_path, writer)
    assert list(enforcer.state.local) == ["shop/a"]
    pods.forget_departed()
    assert list(enforcer.state.local) == []


def test_an_endpoint_of_the_kernel_without_a_record_is_kept(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    """A record that was lost must not open the pod that it was about."""

    async def story() -> None:
        pods, enforcer, _ = attachments_on(tmp_path, writer)
        await told(enforcer, with_b())
        await pods.add(ADD)
        recorded = enforcer.state
        enforcer.state = replace(recorded, local={})
        pods.adopt_unrecorded(recorded.snapshot)
        assert enforcer.state.local["shop/b"].id == recorded.local["shop/b"].id

    asyncio.run(story())
