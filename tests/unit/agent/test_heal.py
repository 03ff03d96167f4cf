"""Repairs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from agent import podnetns
from agent.datapath.interface import DatapathError
from agent.fastpath import FastPath
from agent.heal import Healer
from agent.state import LocalEndpoint
from mesh.model import Revision
from tests.support import nodes
from tests.support.faults import TABLES, Faults
from tests.unit.agent.test_enforcer import SNAPSHOT, made, take

INTERFACES = {11: "veth-a", 2: "eth0"}


@pytest.fixture
def writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    existing = dict(INTERFACES)
    monkeypatch.setattr(podnetns, "interfaces", lambda: existing)
    monkeypatch.setattr(podnetns, "interface_exists", lambda index: index in existing)
    monkeypatch.setattr(podnetns, "node_addresses", lambda: frozenset({nodes.address("192.0.2.7")}))
    return existing


def test_a_hook_that_is_gone_comes_back_and_is_reported(
    tmp_path: Path, writer: ThreadPoolExecutor, machine: dict[int, str]
) -> None:
    async def story() -> None:
        enforcer, datapath, _ = made(tmp_path, writer)
        await enforcer.change(take, first=True)

        async def remove(gone: LocalEndpoint) -> None:
            raise AssertionError(gone)

        healer = Healer(
            enforcer, datapath, FastPath(datapath, wanted=True), uplinks=("eth0",), cgroup="/cg", remove=remove
        )
        await healer.look()
        datapath.attached.discard(("tc_to_pod", 11))
        await healer.look()
        assert ("tc_to_pod", 11) in datapath.attached
        assert any("tc_to_pod on ifindex 11" in text for text in healer.warnings)
        await healer.look()
        assert healer.warnings == ()
        assert healer.repaired == 2
        assert nodes.address("192.0.2.7") in enforcer.state.node_addresses

    asyncio.run(story())


def test_the_hook_of_a_pod_that_is_not_enrolled_is_healed_too(
    tmp_path: Path, writer: ThreadPoolExecutor, machine: dict[int, str]
) -> None:
    async def story() -> None:
        enforcer, datapath, _ = made(tmp_path, writer)
        await enforcer.change(take, first=True)
        guest = replace(enforcer.state.snapshot.endpoints["shop/a"], enforced=False)
        left = replace(enforcer.state.snapshot, endpoints={"shop/a": guest})
        await enforcer.change(lambda state: replace(state, snapshot=left))

        async def remove(gone: LocalEndpoint) -> None:
            raise AssertionError(gone)

        healer = Healer(enforcer, datapath, FastPath(datapath, wanted=True), uplinks=(), cgroup="/cg", remove=remove)
        await healer.look()
        datapath.attached.discard(("tc_from_guest", 11))
        await healer.look()
        assert datapath.attached == {("tc_from_guest", 11), ("cgroup", "/cg")}
        assert any("tc_from_guest on ifindex 11" in text for text in healer.warnings)

    asyncio.run(story())


def test_maps_that_went_astray_are_brought_back_and_reported_meanwhile(
    tmp_path: Path, writer: ThreadPoolExecutor, machine: dict[int, str]
) -> None:
    async def story() -> None:
        enforcer, datapath, proxy = made(tmp_path, writer)
        kernel = Faults(datapath)
        await enforcer.change(take, first=True)

        async def remove(gone: LocalEndpoint) -> None:
            raise AssertionError(gone)

        healer = Healer(enforcer, datapath, FastPath(datapath, wanted=True), uplinks=(), cgroup="/cg", remove=remove)
        await healer.look()
        held = {name: dict(getattr(datapath.tables, name).items()) for name in TABLES}
        kernel.arm(1, lasting=5)
        new = replace(SNAPSHOT, revision=Revision(2), policies={"a": nodes.policy("a", nodes.allow(257))})
        with pytest.raises(DatapathError, match="and what was in force could not be brought back"):
            await enforcer.change(lambda state: replace(state, snapshot=new))
        assert (enforcer.failed, enforcer.state.snapshot.revision, proxy.views[-1].revision) == (1, 1, 1)
        seen = []
        for _ in range(20):
            await healer.look()
            seen.append(healer.warnings)
        assert seen[0][0].startswith("the maps do not hold what is in force: ")
        assert "tried 1 times" in seen[0][0]
        assert seen[-1] == ()
        others = set(TABLES) - {"policy", "endpoint"}
        assert all(dict(getattr(datapath.tables, name).items()) == held[name] for name in others)
        assert datapath.tables.endpoint.get(1).identity4 == 300  # type: ignore[union-attr]

    asyncio.run(story())


def test_a_pod_whose_interface_stays_away_has_left(
    tmp_path: Path, writer: ThreadPoolExecutor, machine: dict[int, str]
) -> None:
    async def story() -> list[str]:
        enforcer, datapath, _ = made(tmp_path, writer)
        await enforcer.change(take, first=True)
        removed: list[str] = []

        async def remove(gone: LocalEndpoint) -> None:
            removed.append(gone.key)

        healer = Healer(enforcer, datapath, FastPath(datapath, wanted=True), uplinks=(), cgroup="/cg", remove=remove)
        del machine[11]
        await healer.look()
        assert removed == []
        await healer.look()
        return removed

    assert asyncio.run(story()) == ["shop/a"]


def test_an_uplink_that_is_gone_is_a_warning_until_it_is_back(
    tmp_path: Path, writer: ThreadPoolExecutor, machine: dict[int, str]
) -> None:
    """Without it nothing that comes from outside and needs the proxy is handed over."""

    async def story() -> None:
        enforcer, datapath, _ = made(tmp_path, writer)
        await enforcer.change(take, first=True)

        async def remove(gone: LocalEndpoint) -> None:
            raise AssertionError(gone)

        healer = Healer(
            enforcer, datapath, FastPath(datapath, wanted=True), uplinks=("eth0",), cgroup="/cg", remove=remove
        )
        await healer.look()
        del machine[2]
        await healer.look()
        assert healer.warnings == ("uplink eth0 is gone: what comes in by another way and needs the proxy is refused",)
        machine[9] = "eth0"
        await healer.look()
        await healer.look()
        assert healer.warnings == ()
        assert ("tc_from_net", 9) in datapath.attached

    asyncio.run(story())
