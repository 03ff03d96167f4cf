"""The agent's side of the proxy, with workers that are played by the test.

Long because the handing over of listeners has many ends, and all need the same played workers.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent import listeners, proxy_link
from agent.channel import Channel, ChannelClosed
from agent.datapath.interface import DatapathError
from agent.desired import Numbers, desired
from agent.errors import AgentError, SnapshotRefused
from agent.listeners import adopt
from agent.proxy_link import ProxyLink
from agent.proxyview import Former, view
from mesh.api import codec, features
from mesh.api import mesh_pb2 as pb
from mesh.api.floor import Floor, shown
from mesh.model import FlowRecord, Revision
from mesh.snapshot import ProxyView
from tests.support.ports import free_port
from tests.support.waiting import LONGEST_S, until
from tests.unit.agent.test_flows import EVENT, names, record
from tests.unit.agent.test_proxyview import STATE

NUMBERS = Numbers()
VIEW = view(STATE, desired(STATE, NUMBERS), NUMBERS, Former())


@pytest.fixture(autouse=True)
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transparency needs a capability; a harmless option stands in for it."""
    monkeypatch.setattr(listeners, "_IP_TRANSPARENT", socket.IP_TTL)
    monkeypatch.setattr(listeners, "_IPV6_TRANSPARENT", socket.IPV6_UNICAST_HOPS)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is slow makes no worker late."""
    for name in ("SWAP_S", "HELLO_S"):
        monkeypatch.setattr(proxy_link, name, LONGEST_S)


@pytest.fixture
def port() -> int:
    return free_port()


class Told:
    """What the link did to its surroundings."""

    def __init__(self) -> None:
        self.view: ProxyView | None = VIEW
        self.ready = asyncio.Event()
        self.up: list[bool] = []
        self.flows: list[FlowRecord] = []
        self.takes: Callable[[FlowRecord], None] = self.flows.append
        self.lost = 0
        self.offered: list[tuple[socket.socket, socket.socket]] = []
        self.refuses = False

    def offer(self, v4: socket.socket, v6: socket.socket) -> None:
        self.offered.append((v4, v6))
        if self.refuses:
            raise DatapathError("no such map")

    async def set_proxy(self, up: bool) -> None:
        self.up.append(up)

    def lose(self, count: int) -> None:
        self.lost += count


class Worker:
    """Plays one worker of the proxy."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    @classmethod
    async def connect(
        cls, path: Path, held: list[int] | None = None, version: str = features.VERSION, workers: int = 1
    ) -> Worker:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        worker = cls(Channel(connection))
        hello = pb.ProxyHello(version=version, pid=os.getpid(), features=features.FEATURES, workers=workers)
        await worker.channel.send(pb.FromProxy(hello=hello).SerializeToString(), held)
        return worker

    async def welcome(self) -> tuple[pb.ProxyWelcome, list[int]]:
        message = codec.parse(pb.ToProxy, await self.channel.receive())
        return message.welcome, self.channel.take_descriptors()

    async def swap(self) -> ProxyView:
        message = codec.parse(pb.ToProxy, await self.channel.receive())
        await self.channel.send(pb.FromProxy(ack=pb.Ack(revision=message.snapshot.revision)).SerializeToString())
        return codec.proxy_snapshot_from_pb(message.snapshot)


@asynccontextmanager
async def running(path: Path, port: int, told: Told, grace_s: float = 60.0) -> AsyncIterator[ProxyLink]:
    told.ready.set()
    link = ProxyLink(
        path, node="node-1", port=port, mark=0x20, grace_s=grace_s,
        redirect_fd=lambda: os.open(os.devnull, os.O_RDONLY), offer=told.offer, take_flow=told.takes,
        lost_flows=told.lose,
    )  # fmt: skip
    link.open()
    task = asyncio.ensure_future(link.run(told))
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        link.close()


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await story()

    asyncio.run(main())


def test_caught_up_once_every_worker_of_the_proxy_has_swapped(tmp_path: Path, port: int) -> None:
    """After a restart of the agent the workers go on with the policy that they hold until they are back."""

    async def story() -> None:
        async with running(tmp_path / "p", port, Told()) as link:
            waiting = asyncio.ensure_future(link.caught_up(LONGEST_S))
            one = await Worker.connect(tmp_path / "p", workers=2)
            await one.welcome()
            await one.swap()
            await asyncio.sleep(0.05)
            assert not waiting.done()
            two = await Worker.connect(tmp_path / "p", workers=2)
            await two.welcome()
            assert not waiting.done()
            await two.swap()
            assert await waiting
            assert await link.caught_up(0)

    play(story)


def test_who_did_not_catch_up_may_judge_no_more(tmp_path: Path, port: int) -> None:
    """A worker that stands still, under an agent that has never met it: all that they share is the floor."""

    async def story() -> None:
        path = tmp_path / "p.sock"
        async with running(path, port, Told()) as link:
            worker = await Worker.connect(path)
            _, descriptors = await worker.welcome()
            first = await worker.swap()
            floor = shown(descriptors.pop())
            for descriptor in descriptors:
                os.close(descriptor)
            await link.tell(first)
            assert await link.caught_up()
            assert floor[0] == first.revision
        async with running(path, port, Told()) as link:
            newer = replace(first, revision=Revision(first.revision + 1), identities={})
            await link.tell(newer)
            assert floor[0] == first.revision, "workers have their time to come"
            assert not await link.caught_up(0.01)
            assert floor[0] == newer.revision
            await link.tell(replace(newer, revision=Revision(newer.revision + 1)))
            await link.caught_up(0.01)
            assert floor[0] == newer.revision, "nobody is told what says nothing new, and nobody is behind for it"

    play(story)


def test_what_workers_cannot_be_held_to_is_not_acknowledged(tmp_path: Path, port: int) -> None:
    class Broken(Floor):
        def set(self, revision: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def story() -> None:
        async with running(tmp_path / "p.sock", port, Told()) as link:
            await link.tell(VIEW)
            assert link._floor is not None
            link._floor.close()
            link._floor = Broken(tmp_path / "p.floor")
            with pytest.raises(AgentError, match="what they may judge by: Input/output error"):
                await link.caught_up(0.01)

    play(story)


def test_nobody_waits_long_for_a_proxy_that_is_away(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        async with running(tmp_path / "p", port, Told()) as link:
            assert not await link.caught_up(0.01)
            async with asyncio.timeout(LONGEST_S):
                assert not await link.caught_up(2 * LONGEST_S)
        told = Told()
        async with running(tmp_path / "p", port, told, grace_s=0.0) as link, asyncio.timeout(LONGEST_S):
            # declared down, what needs it is reset: there is nothing to wait for
            await until(lambda: told.up == [False])
            assert await link.caught_up(2 * LONGEST_S)

    play(story)


def test_a_kernel_that_refuses_the_listeners_does_not_keep_workers_out(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        told = Told()
        told.refuses = True
        async with running(tmp_path / "p", port, told):
            worker = await Worker.connect(tmp_path / "p")
            _, descriptors = await worker.welcome()
            for descriptor in descriptors:
                os.close(descriptor)

    play(story)
    assert "does not take the proxy's listeners" in caplog.text


def test_a_worker_gets_listeners_the_map_and_the_view(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        told = Told()
        async with running(tmp_path / "p", port, told) as link:
            worker = await Worker.connect(tmp_path / "p")
            welcome, descriptors = await worker.welcome()
            assert (welcome.node, welcome.listen_port, welcome.mark_from_proxy) == ("node-1", port, 0x20)
            assert len(descriptors) == 4
            assert [[one.family for one in pair] for pair in told.offered] == [[socket.AF_INET, socket.AF_INET6]]
            adopt(descriptors[:2], port).close()
            os.close(descriptors[2])
            assert link.workers == 0
            assert await worker.swap() == VIEW
            await until(lambda: link.workers == 1)
            assert link.pids == [os.getpid()]
            worker.channel.close()
            await until(lambda: link.workers == 0)

    play(story)


def test_a_change_is_told_to_every_worker_and_waits_for_all(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        told = Told()
        async with running(tmp_path / "p", port, told) as link:
            workers = [await Worker.connect(tmp_path / "p") for _ in range(2)]
            for worker in workers:
                listeners.close_all((await worker.welcome())[1])
                await worker.swap()
            await until(lambda: link.workers == 2)
            news = replace(VIEW, revision=Revision(2), trust_domain="other")
            telling = asyncio.ensure_future(link.tell(news))
            assert (await workers[0].swap()).revision == 2
            await asyncio.sleep(0.02)
            assert not telling.done()
            await workers[1].swap()
            await telling
            await link.tell(replace(news, revision=Revision(3)))  # nothing new for a worker: no wait, no message
            for worker in workers:
                worker.channel.close()

    play(story)


def test_a_worker_that_does_not_swap_is_cut_off(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        told = Told()
        async with running(tmp_path / "p", port, told) as link:
            worker = await Worker.connect(tmp_path / "p")
            listeners.close_all((await worker.welcome())[1])
            await worker.swap()
            await until(lambda: link.workers == 1)
            monkeypatch.setattr(proxy_link, "SWAP_S", 0.05)
            await link.tell(replace(VIEW, revision=Revision(2), trust_domain="other"))
            assert link.workers == 0
            await worker.channel.receive()
            with pytest.raises(ChannelClosed):
                await worker.channel.receive()
            worker.channel.close()

    play(story)


def test_after_a_crash_of_the_agent_the_listeners_come_back_from_the_proxy(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        held = listeners.create(port)
        inode = os.fstat(held.v4.fileno()).st_ino
        async with running(tmp_path / "p", port, Told()):
            worker = await Worker.connect(tmp_path / "p", held.descriptors())
            _, descriptors = await worker.welcome()
            assert os.fstat(descriptors[0]).st_ino == inode
            listeners.close_all(descriptors)
            worker.channel.close()
        held.close()

    play(story)


def test_a_proxy_of_another_major_version_is_refused(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        async with running(tmp_path / "p", port, Told()) as link:
            worker = await Worker.connect(tmp_path / "p", version="9.0.0")
            with pytest.raises(ChannelClosed):
                await worker.channel.receive()
            assert link.workers == 0
            worker.channel.close()

    play(story)


def test_without_a_proxy_for_longer_than_the_grace_the_kernel_is_told_and_the_queue_reset(
    tmp_path: Path, port: int
) -> None:
    async def story() -> None:
        told = Told()
        async with running(tmp_path / "p", port, told, grace_s=0.0) as link:
            await until(lambda: told.up == [False])
            with socket.create_connection(("127.0.0.1", port)):
                await until(lambda: link.resets == 1)
            worker = await Worker.connect(tmp_path / "p")
            listeners.close_all((await worker.welcome())[1])
            await worker.swap()
            await until(lambda: told.up == [False, True])
            worker.channel.close()

    play(story)


def test_a_worker_that_comes_while_the_kernel_is_told_that_there_is_none_is_told_as_well(
    tmp_path: Path, port: int
) -> None:
    async def story() -> None:
        told = Told()
        writing, go_on = asyncio.Event(), asyncio.Event()

        async def set_up(up: bool) -> None:
            if not up:
                writing.set()
                await go_on.wait()
            told.up.append(up)

        told.set_proxy = set_up  # type: ignore[method-assign]
        async with running(tmp_path / "p", port, told, grace_s=0.0):
            await writing.wait()
            worker = await Worker.connect(tmp_path / "p")
            listeners.close_all((await worker.welcome())[1])
            await worker.swap()
            go_on.set()
            await until(lambda: told.up[-1:] == [True])
            assert told.up == [False, True]
            worker.channel.close()

    play(story)


def test_a_worker_that_leaves_while_the_kernel_is_told_of_it_is_told_of_as_gone(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        told = Told()
        writing, go_on = asyncio.Event(), asyncio.Event()

        async def set_up(up: bool) -> None:
            if up:
                writing.set()
                await go_on.wait()
            told.up.append(up)

        told.set_proxy = set_up  # type: ignore[method-assign]
        async with running(tmp_path / "p", port, told, grace_s=0.0) as link:
            await until(lambda: told.up == [False])
            worker = await Worker.connect(tmp_path / "p")
            listeners.close_all((await worker.welcome())[1])
            await worker.swap()
            await writing.wait()
            worker.channel.close()
            await until(lambda: link.workers == 0)
            go_on.set()
            await until(lambda: told.up == [False, True, False])

    play(story)


def test_what_one_worker_says_ends_that_worker_alone(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        told = Told()

        def take(flow: FlowRecord) -> None:
            raise ValueError("an address that is none")

        told.takes = take
        async with running(tmp_path / "p", port, told) as link:
            for _ in range(2):
                worker = await Worker.connect(tmp_path / "p")
                listeners.close_all((await worker.welcome())[1])
                await worker.swap()
                await until(lambda: link.workers == 1)
                batch = pb.FlowBatch(flows=[codec.flow_to_pb(record(EVENT, names()))])
                await worker.channel.send(pb.FromProxy(flows=batch).SerializeToString())
                await until(lambda: link.workers == 0)
                worker.channel.close()

    play(story)


def test_an_error_of_our_own_ends_one_worker_and_not_the_agent(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        told = Told()

        def broken() -> int:
            raise KeyError("map")

        async with running(tmp_path / "p", port, told) as link:
            link._redirect_fd = broken
            for _ in range(2):
                worker = await Worker.connect(tmp_path / "p")
                with pytest.raises(ChannelClosed):
                    await worker.welcome()
                worker.channel.close()

    play(story)
    assert "KeyError" in caplog.text


def test_a_view_that_no_worker_could_read_is_refused_and_costs_no_worker(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        told = Told()
        async with running(tmp_path / "p", port, told) as link:
            worker = await Worker.connect(tmp_path / "p")
            listeners.close_all((await worker.welcome())[1])
            await worker.swap()
            await until(lambda: link.workers == 1)
            monkeypatch.setattr(proxy_link, "LIMIT_BYTES", 10)
            with pytest.raises(SnapshotRefused, match="above the limit of 10"):
                await link.tell(replace(VIEW, revision=Revision(2), trust_domain="other"))
            assert link.workers == 1
            worker.channel.close()

    play(story)


def test_flow_records_of_the_proxy_are_taken(tmp_path: Path, port: int) -> None:
    async def story() -> None:
        told = Told()
        sent = record(EVENT, names())
        async with running(tmp_path / "p", port, told):
            worker = await Worker.connect(tmp_path / "p")
            listeners.close_all((await worker.welcome())[1])
            await worker.swap()
            batch = pb.FlowBatch(flows=[codec.flow_to_pb(sent)], lost=2)
            await worker.channel.send(pb.FromProxy(flows=batch).SerializeToString())
            await until(lambda: bool(told.flows))
            assert told.flows == [sent]
            assert told.lost == 2
            worker.channel.close()

    play(story)
