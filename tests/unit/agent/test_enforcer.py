"""Changes of the node's state: in order, whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.datapath.fake import FakeDatapath
from agent.datapath.interface import DatapathError
from agent.endpoints import Endpoints, Life
from agent.enforcer import Enforcer
from agent.errors import SnapshotRefused
from agent.reconcile import Reconciler
from agent.state import NodeState
from mesh.model import IdentityId, Revision
from mesh.snapshot import ProxyView
from tests.support import nodes

SNAPSHOT = nodes.snapshot(
    pods=[nodes.pod("a", "10.9.0.1", 300, "a")],
    peers={"10.9.1.1/32": 256, "10.9.1.2/32": 257},
    policies=[nodes.policy("a", nodes.allow(256))],
)


class ToldProxy:
    def __init__(self, datapath: FakeDatapath) -> None:
        self.views: list[ProxyView] = []
        self.kernel_was: list[int] = []
        self._datapath = datapath

    async def tell(self, view: ProxyView) -> None:
        self.views.append(view)
        self.kernel_was.append(len(list(self._datapath.tables.policy.items())))


@pytest.fixture
def writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def made(tmp_path: Path, writer: ThreadPoolExecutor) -> tuple[Enforcer, FakeDatapath, ToldProxy]:
    datapath = FakeDatapath()
    reconciler = Reconciler(datapath, nodes.CONFIG, first_epoch=lambda: 1, interface_exists=lambda _: True)
    endpoints = Endpoints(tmp_path / "endpoints.json")
    endpoints.discover("shop/a")
    proxy = ToldProxy(datapath)
    state = nodes.node(nodes.snapshot(revision=0), nodes.local("a", 1, 11))
    enforcer = Enforcer(state, reconciler, endpoints, writer, proxy=proxy)
    return enforcer, datapath, proxy


def take(state: NodeState) -> NodeState:
    return replace(state, snapshot=SNAPSHOT)


def test_the_proxy_knows_before_the_kernel_does(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    enforcer, _, proxy = made(tmp_path, writer)
    enforced = asyncio.run(enforcer.change(take, first=True))
    assert enforced.outcome.changed
    assert proxy.kernel_was == [0]
    assert proxy.views[0].revision == 1
    assert enforcer.endpoints.life("shop/a") is Life.ENFORCED


def test_a_kernel_that_refuses_leaves_state_and_proxy_as_they_were(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    enforcer, datapath, proxy = made(tmp_path, writer)
    asyncio.run(enforcer.change(take, first=True))
    table: Any = datapath.tables.policy

    def refuse(entries: Any) -> None:
        raise DatapathError("no")

    table.put_many = refuse
    changed = replace(SNAPSHOT, revision=Revision(2), policies={"a": nodes.policy("a", nodes.allow(257))})
    with pytest.raises(DatapathError, match="no"):
        asyncio.run(enforcer.change(lambda state: replace(state, snapshot=changed)))
    assert enforcer.state.snapshot is SNAPSHOT
    assert [view.revision for view in proxy.views] == [1, 2, 1]


def test_what_the_proxy_cannot_be_told_does_not_come_into_force(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, datapath, proxy = made(tmp_path, writer)
        await enforcer.change(take, first=True)
        held = enforcer.view, dict(datapath.tables.policy.items())

        async def refuse(view: ProxyView) -> None:
            raise SnapshotRefused("too much")

        proxy.tell = refuse  # type: ignore[method-assign]
        changed = replace(SNAPSHOT, revision=Revision(2), policies={"a": nodes.policy("a", nodes.allow(257))})
        with pytest.raises(SnapshotRefused):
            await enforcer.change(lambda state: replace(state, snapshot=changed))
        assert (enforcer.view, dict(datapath.tables.policy.items())) == held
        assert enforcer.state.snapshot is SNAPSHOT

    asyncio.run(story())


def test_an_address_that_passes_to_another_pod_by_way_of_nobody_is_told_each_time(
    tmp_path: Path, writer: ThreadPoolExecutor
) -> None:
    """The proxy keeps connections to it: they must be judged by who has the address, not by who had it."""

    async def story() -> None:
        enforcer, _, proxy = made(tmp_path, writer)
        ip, prefix = nodes.address("10.9.1.2"), nodes.prefix("10.9.1.2/32")
        cluster = nodes.snapshot(peers={"10.9.0.0/16": 0}).ipcache
        held = replace(SNAPSHOT, ipcache={**cluster, **SNAPSHOT.ipcache})
        await enforcer.change(lambda state: replace(state, snapshot=held), first=True)
        nobody = {key: entry for key, entry in held.ipcache.items() if key != prefix}
        other = {**nobody, prefix: replace(SNAPSHOT.ipcache[prefix], identity=IdentityId(300))}
        for number, ipcache in enumerate((nobody, other, nobody), 2):
            now = replace(SNAPSHOT, revision=Revision(number), ipcache=ipcache)
            await enforcer.change(lambda state, now=now: replace(state, snapshot=now))
        await enforcer.change(lambda state: replace(state, proxy_up=False))
        assert [view.moved for view in proxy.views] == [{}, {ip: 0}, {ip: 300}, {ip: 0}, {ip: 0}]

    asyncio.run(story())


def test_nothing_is_enforced_before_there_is_something_to_enforce(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, datapath, _ = made(tmp_path, writer)
        waiting = asyncio.ensure_future(enforcer.change(lambda state: replace(state, proxy_up=False)))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert list(datapath.tables.ipcache.items()) == []
        await enforcer.change(take, first=True)
        await waiting
        assert not enforcer.state.proxy_up

    asyncio.run(story())


def test_the_proxy_going_down_reaches_the_kernel(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, datapath, _ = made(tmp_path, writer)
        await enforcer.change(take, first=True)
        await enforcer.set_proxy(False)
        assert datapath.config is not None
        assert datapath.config.flags == 0
        await enforcer.set_proxy(True)
        assert datapath.config.flags == 1

    asyncio.run(story())


def test_numbers_in_use_survive_the_sweep(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    async def story() -> None:
        enforcer, _, _ = made(tmp_path, writer)
        await enforcer.change(take, first=True)
        await enforcer.sweep()
        rule = SNAPSHOT.policies[nodes.policy("a").key].ingress.rules[0].ref
        assert enforcer.numbers.rules.item(enforcer.numbers.rules.number((rule,))) == (rule,)

    asyncio.run(story())
