from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from l7proxy.net import agent_link
from l7proxy.net.agent_link import AgentLink, LinkBroken
from mesh.api.codec import proxy_snapshot_to_pb
from mesh.api.codec_link import (
    ProxyAck,
    ProxyFlows,
    ProxyHello,
    ProxyWelcome,
    from_proxy,
    snapshot_to_bytes,
    welcome_to_bytes,
)
from mesh.api.frames import FrameReader, pack
from mesh.snapshot import ProxyView
from tests.support import waiting
from tests.support.proxy import ALLOW_ALL, ingress, view


def snapshot(now: ProxyView) -> bytes:
    return pack(
        snapshot_to_bytes(
            proxy_snapshot_to_pb(
                now.revision,
                now.endpoints,
                now.policies,
                now.identities,
                now.services,
                now.trust_domain,
                now.moved,
            )
        )
    )


class Agent:
    """The other end: one worker at a time, blocking calls in a thread."""

    def __init__(self, path: Path) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._reader = FrameReader()
        self._ready: list[bytes] = []
        self.descriptors: list[int] = []

    async def accept(self) -> None:
        self._worker = (await asyncio.to_thread(self._listening.accept))[0]
        self._worker.settimeout(waiting.LONGEST_S)
        self._reader = FrameReader()

    async def hear(self) -> ProxyHello | ProxyAck | ProxyFlows:
        while not self._ready:
            data, got, _, _ = await asyncio.to_thread(socket.recv_fds, self._worker, 1 << 16, 4)
            assert data, "the worker closed the link"
            self.descriptors += got
            self._ready += self._reader.feed(data)
        return from_proxy(self._ready.pop(0))

    def welcome(self, descriptors: list[int]) -> None:
        frame = pack(welcome_to_bytes(ProxyWelcome(node="n1", listen_port=15001, mark_from_proxy=0x20)))
        socket.send_fds(self._worker, [frame[:7]], descriptors)
        self._worker.sendall(frame[7:])

    def tell(self, data: bytes) -> None:
        self._worker.sendall(data)

    def hang_up(self) -> None:
        self._worker.close()

    def close(self) -> None:
        self._listening.close()


class Heard:
    def __init__(self) -> None:
        self.welcomes: list[ProxyWelcome] = []
        self.views: list[ProxyView] = []
        self.descriptors: list[int] = []

    def welcomed(self, welcome: ProxyWelcome, descriptors: list[int]) -> None:
        self.welcomes.append(welcome)
        self.descriptors += descriptors

    def swapped(self, now: ProxyView) -> None:
        self.views.append(now)


def linked(tmp_path: Path, act: Callable[[Agent, AgentLink, Heard], Awaitable[None]], held: list[int]) -> Heard:
    heard = Heard()

    async def run() -> None:
        agent = Agent(tmp_path / "proxy.sock")
        link = AgentLink(tmp_path / "proxy.sock", heard, lambda: held)
        following = asyncio.create_task(link.run())
        try:
            async with asyncio.timeout(waiting.LONGEST_S):
                await act(agent, link, heard)
        finally:
            following.cancel()
            agent.close()
            for descriptor in (*heard.descriptors, *agent.descriptors):
                os.close(descriptor)

    asyncio.run(run())
    return heard


def null() -> int:
    return os.open("/dev/null", os.O_RDONLY)


async def greet(agent: Agent) -> ProxyHello:
    await agent.accept()
    hello = await agent.hear()
    assert isinstance(hello, ProxyHello)
    given = [null(), null(), null(), null()]
    agent.welcome(given)
    for descriptor in given:
        os.close(descriptor)
    return hello


def test_hello_welcome_snapshot_ack_and_flows(tmp_path: Path) -> None:
    async def act(agent: Agent, link: AgentLink, heard: Heard) -> None:
        hello = await greet(agent)
        assert hello.pid == os.getpid()
        assert "policy.http" in hello.features
        data = snapshot(ALLOW_ALL) + snapshot(view(ingress(), 9))
        agent.tell(data[:11])
        agent.tell(data[11:])
        acks = [await agent.hear(), await agent.hear()]
        assert acks == [ProxyAck(ALLOW_ALL.revision), ProxyAck(view(ingress(), 9).revision)]
        assert link.up
        await link.send_flows([], 3)
        assert await agent.hear() == ProxyFlows((), 3)

    heard = linked(tmp_path, act, [])
    assert heard.views == [ALLOW_ALL, view(ingress(), 9)]
    assert heard.welcomes[0].mark_from_proxy == 0x20
    assert len(heard.descriptors) == 4


def test_worker_comes_back_with_the_listeners_that_it_holds(tmp_path: Path) -> None:
    held = [null(), null()]

    async def act(agent: Agent, link: AgentLink, heard: Heard) -> None:
        await greet(agent)
        agent.tell(snapshot(ALLOW_ALL))
        await agent.hear()
        agent.hang_up()
        await greet(agent)
        agent.tell(snapshot(ALLOW_ALL))
        await agent.hear()
        assert len(agent.descriptors) == 4

    heard = linked(tmp_path, act, held)
    assert len(heard.welcomes) == 2
    for descriptor in held:
        os.close(descriptor)


def test_what_cannot_be_read_is_not_acted_on_and_the_link_is_made_anew(tmp_path: Path) -> None:
    async def act(agent: Agent, link: AgentLink, heard: Heard) -> None:
        for wrong in (pack(b"\xff\xff"), pack(b""), b"\xff\xff\xff\xff"):
            await greet(agent)
            agent.tell(wrong)
        await agent.accept()

    assert linked(tmp_path, act, []).views == []


def test_snapshot_before_the_welcome_and_a_welcome_without_sockets_are_refused(tmp_path: Path) -> None:
    async def act(agent: Agent, link: AgentLink, heard: Heard) -> None:
        await agent.accept()
        agent.tell(snapshot(ALLOW_ALL))
        await agent.accept()
        agent.welcome([])
        await agent.accept()

    heard = linked(tmp_path, act, [])
    assert heard.views == []
    assert heard.welcomes == []


def test_flows_without_a_link_are_reported_as_such(tmp_path: Path) -> None:
    async def run() -> None:
        link = AgentLink(tmp_path / "none.sock", Heard(), list)
        assert not link.up
        try:
            await link.send_flows([], 1)
        except LinkBroken:
            return
        raise AssertionError("nobody took them")

    asyncio.run(run())


def test_an_agent_that_is_not_there_yet_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Both start at once and the agent is slower: the first try says that it waits. Only patience that ends warns."""
    monkeypatch.setattr(agent_link, "FIRST_RETRY_S", 0.0)
    monkeypatch.setattr(agent_link, "PATIENCE", 3)
    caplog.set_level("INFO")

    async def run() -> None:
        following = asyncio.create_task(AgentLink(tmp_path / "proxy.sock", Heard(), list).run())
        await waiting.until(lambda: len(caplog.records) >= 2)
        following.cancel()

    asyncio.run(run())
    assert [record.levelname for record in caplog.records[:2]] == ["INFO", "WARNING"]
    assert "waiting for the agent" in caplog.messages[0]
