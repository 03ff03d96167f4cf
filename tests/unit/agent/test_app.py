"""Start and stop of the whole agent on a played machine: order, restart, recovery."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import config as agent_config
from agent import listeners, podnetns
from agent.app import App, Machine, node_config
from agent.config import AgentConfig, parse
from agent.datapath.fake import FakeDatapath
from agent.endpoints import Endpoints
from agent.errors import ConfigRefused
from agent.files import mark_outrun, save_snapshot
from mesh.layouts import CONFIG_PROXY_UP
from tests.support import nodes
from tests.support.waiting import LONGEST_S

SNAPSHOT = nodes.snapshot(
    pods=[nodes.pod("a", "10.9.0.1", 300, "a")],
    peers={"10.9.1.1/32": 256},
    policies=[nodes.policy("a", nodes.allow(256))],
)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podnetns, "interfaces", lambda: {11: "veth-a", 2: "eth0"})
    monkeypatch.setattr(podnetns, "interface_exists", lambda index: index in (11, 2))
    monkeypatch.setattr(podnetns, "node_addresses", lambda: frozenset({nodes.address("192.0.2.7")}))
    monkeypatch.setattr(listeners, "_IP_TRANSPARENT", 2)
    monkeypatch.setattr(listeners, "_IPV6_TRANSPARENT", 16)
    monkeypatch.setattr(agent_config, "PROXY_PORT", 0)


def config(tmp_path: Path) -> AgentConfig:
    found = parse(
        ["--node", "node-1", "--controller", "127.0.0.1:1", "--state", str(tmp_path), "--cgroup", "/cg"]
        + ["--uplink", "eth0"]
    )
    assert isinstance(found, AgentConfig)
    return found


def kept(tmp_path: Path, *, records: bool = True) -> None:
    """What an earlier agent left on disk."""
    save_snapshot(tmp_path / "snapshot.pb", SNAPSHOT)
    if records:
        endpoints = Endpoints(tmp_path / "endpoints.json")
        endpoints.id_for("shop/a")
        endpoints.save([replace(nodes.local("a", 1, 11), netns="")])


async def ask(path: Path, request: dict[str, Any]) -> Any:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(json.dumps(request).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    return answer["result"]


def run(tmp_path: Path, datapath: FakeDatapath) -> dict[str, Any]:
    """One life of the agent: until it answers, then SIGTERM. Returns its status."""

    async def story() -> dict[str, Any]:
        machine = Machine(datapath=datapath, cold=False, destroy=lambda *_: False, checks=list)
        running = asyncio.ensure_future(App(config(tmp_path), machine).run())
        async with asyncio.timeout(LONGEST_S):
            while not (tmp_path / "agent.sock").exists():
                assert not running.done(), running
                await asyncio.sleep(0.005)
            status: dict[str, Any] = await ask(tmp_path / "agent.sock", {"call": "status"})
            os.kill(os.getpid(), signal.SIGTERM)
            await running
        return status

    return asyncio.run(story())


def test_a_node_works_with_the_controller_away(tmp_path: Path) -> None:
    kept(tmp_path)
    datapath = FakeDatapath()
    status = run(tmp_path, datapath)
    assert (status["state"], status["revision"], status["endpointsEnforced"]) == ("enforcing", 1, 1)
    assert status["controller"]["connected"] is False
    assert datapath.prepared
    assert {("tc_from_pod", 11), ("tc_to_pod", 11), ("tc_from_net", 2), ("cgroup", "/cg")} <= datapath.attached


def test_a_restart_changes_no_entry_and_detaches_nothing(tmp_path: Path) -> None:
    kept(tmp_path)
    datapath = FakeDatapath()
    run(tmp_path, datapath)
    tables = ("ipcache", "endpoint", "policy", "service", "endpoint_by_ifindex")
    before = {name: dict(getattr(datapath.tables, name).items()) for name in tables}
    attached = set(datapath.attached)
    for name in tables:
        table = getattr(datapath.tables, name)

        def refuse(*_: Any, name: str = name) -> None:
            raise AssertionError(f"{name} was written")

        table.put_many = table.delete_many = table.put = table.delete = refuse
    assert run(tmp_path, datapath)["endpointsEnforced"] == 1
    assert {name: dict(getattr(datapath.tables, name).items()) for name in tables} == before
    assert datapath.attached == attached


def test_pods_stay_attached_when_their_record_is_lost(tmp_path: Path) -> None:
    kept(tmp_path)
    datapath = FakeDatapath()
    run(tmp_path, datapath)
    before = dict(datapath.tables.endpoint.items())
    (tmp_path / "endpoints.json").write_text("{")
    assert run(tmp_path, datapath)["endpointsEnforced"] == 1
    assert dict(datapath.tables.endpoint.items()) == before


def test_without_a_snapshot_the_kernel_keeps_what_it_enforces(tmp_path: Path) -> None:
    kept(tmp_path)
    datapath = FakeDatapath()
    run(tmp_path, datapath)
    before = dict(datapath.tables.endpoint.items())
    (tmp_path / "snapshot.pb").write_bytes(b"\xff")
    assert run(tmp_path, datapath)["state"] == "starting"
    assert dict(datapath.tables.endpoint.items()) == before


def test_a_snapshot_that_the_kernel_has_left_behind_does_not_come_back_into_force(tmp_path: Path) -> None:
    """Killed between a change and the writing of its snapshot: the old one would undo what was acknowledged."""
    kept(tmp_path)
    datapath = FakeDatapath()
    run(tmp_path, datapath)
    before = dict(datapath.tables.endpoint.items())
    mark_outrun(tmp_path / "snapshot.pb")
    assert run(tmp_path, datapath)["state"] == "starting"
    assert dict(datapath.tables.endpoint.items()) == before
    # after a reboot the kernel holds nothing, and an old snapshot is better than none
    assert run(tmp_path, FakeDatapath())["state"] == "enforcing"


def test_a_pod_that_left_meanwhile_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path)
    datapath = FakeDatapath()
    run(tmp_path, datapath)
    monkeypatch.setattr(podnetns, "interfaces", lambda: {2: "eth0"})
    monkeypatch.setattr(podnetns, "interface_exists", lambda index: index == 2)
    assert run(tmp_path, datapath)["endpoints"] == 0
    assert dict(datapath.tables.endpoint.items()) == {}


def test_an_uplink_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podnetns, "interfaces", lambda: {11: "veth-a"})
    machine = Machine(datapath=FakeDatapath(), cold=False, destroy=lambda *_: False, checks=list)

    async def story() -> None:
        await App(config(tmp_path), machine).run()

    with pytest.raises(ConfigRefused, match="--uplink eth0"):
        asyncio.run(story())


def test_marks_stay_inside_their_mask(tmp_path: Path) -> None:
    found = node_config(config(tmp_path), 1000)
    marks = {found.mark_to_proxy, found.mark_from_proxy, found.mark_own_answer}
    assert len(marks) == 3
    assert all(mark and mark & ~found.mark_mask == 0 for mark in marks)
    assert found.flags == CONFIG_PROXY_UP
    assert found.flows_per_pod == 250
