"""The worker's line to its agent: hello with the descriptors held, welcome with new ones, snapshots, acks, flows.

Reconnects with back-off for ever; without the agent the worker goes on with what it has. A snapshot that cannot be read
is not acknowledged and changes nothing; the link is dropped, so that the agent sees it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mesh.api.codec_link import (
    ProxyHello,
    ProxyWelcome,
    ack_to_bytes,
    flows_to_bytes,
    hello_to_bytes,
    to_proxy,
)
from mesh.api.codec_words import CodecError
from mesh.api.features import FLOWS, POLICY_HTTP, POLICY_L4, SNAPSHOT, VERSION
from mesh.api.frames import FrameReader, FrameTooLong, pack
from mesh.model import FlowRecord
from mesh.snapshot import ProxyView

log = logging.getLogger(__name__)

DESCRIPTORS = 4
"""Listener IPv4, listener IPv6, redirect map, floor."""
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 0.5
PATIENCE = 30
"""Tries without an agent, about 15 s, before that is worth a warning."""
WELCOME_S = 10.0
READ_BYTES = 256 << 10


class LinkBroken(Exception):
    """The agent went away or said something that cannot be acted on."""


class Listener(Protocol):
    """What the link tells its worker."""

    def welcomed(self, welcome: ProxyWelcome, descriptors: list[int]) -> None: ...
    def swapped(self, view: ProxyView) -> None: ...


class AgentLink:
    def __init__(self, path: Path, listener: Listener, held: Callable[[], list[int]], *, workers: int = 1) -> None:
        """`workers`: how many the whole proxy has."""
        self._path = path
        self._workers = workers
        self._listener = listener
        self._held = held
        self._socket: socket.socket | None = None
        self._writing = asyncio.Lock()

    @property
    def up(self) -> bool:
        return self._socket is not None

    async def run(self) -> None:
        """Until cancelled."""
        wait = FIRST_RETRY_S
        told = ""
        tries = 0
        while True:
            try:
                async with asyncio.timeout(WELCOME_S):
                    opened = await self._connect()
            except (OSError, TimeoutError) as problem:
                said = problem.strerror if isinstance(problem, OSError) and problem.strerror else "no answer"
                tries += 1
                if tries == 1:
                    # Nothing is wrong yet: both were started at once, and the agent loads its programs first.
                    log.info("waiting for the agent at %s: %s", self._path, said)
                elif tries >= PATIENCE and said != told:
                    log.warning("agent at %s: %s; trying again, serving with what is held", self._path, said)
                    told = said
            else:
                try:
                    await self._follow(opened)
                except (LinkBroken, OSError, CodecError, FrameTooLong) as problem:
                    log.warning("link to the agent at %s ended: %s", self._path, problem)
                    wait, told, tries = FIRST_RETRY_S, "", 0
                finally:
                    self._socket = None
                    opened.close()
            await asyncio.sleep(wait)
            wait = min(wait * 2, LAST_RETRY_S)

    async def send_flows(self, flows: list[FlowRecord], lost: int) -> None:
        """Give a batch to the agent. LinkBroken where there is none: the records are lost then."""
        await self._send(flows_to_bytes(flows, lost))

    async def _connect(self) -> socket.socket:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(opened, str(self._path))
            hello = pack(
                hello_to_bytes(
                    ProxyHello(
                        version=VERSION,
                        pid=os.getpid(),
                        features=(SNAPSHOT, POLICY_L4, POLICY_HTTP, FLOWS),
                        workers=self._workers,
                    )
                )
            )
            # The socket's buffer is empty, so the few bytes of a hello go at once, with the descriptors on the first.
            sent = socket.send_fds(opened, [hello], self._held())
            if sent != len(hello):
                raise OSError("the hello could not be sent whole")
        except BaseException:
            opened.close()
            raise
        return opened

    async def _follow(self, opened: socket.socket) -> None:
        reader = FrameReader()
        descriptors: list[int] = []
        welcomed = False
        try:
            while True:
                data, got = await _receive(opened)
                descriptors += got
                if not data:
                    raise LinkBroken("the agent closed it")
                for payload in reader.feed(data):
                    message = to_proxy(payload)
                    if isinstance(message, ProxyWelcome):
                        if len(descriptors) != DESCRIPTORS:
                            raise LinkBroken(f"the welcome came with {len(descriptors)} descriptors, not {DESCRIPTORS}")
                        given, descriptors = descriptors, []
                        self._listener.welcomed(message, given)
                        welcomed = True
                        self._socket = opened
                    elif welcomed:
                        self._listener.swapped(message)
                        await self._send(ack_to_bytes(message.revision))
                    else:
                        raise LinkBroken("a snapshot came before the welcome")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def _send(self, payload: bytes) -> None:
        async with self._writing:
            if self._socket is None:
                raise LinkBroken("there is no link")
            await asyncio.get_running_loop().sock_sendall(self._socket, pack(payload))


async def _receive(opened: socket.socket) -> tuple[bytes, list[int]]:
    """Bytes with the descriptors that came beside them."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(opened.fileno(), _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(opened.fileno())
    try:
        data, descriptors, flags, _ = socket.recv_fds(opened, READ_BYTES, DESCRIPTORS)
    except BlockingIOError:
        return await _receive(opened)
    if flags & socket.MSG_CTRUNC:
        for descriptor in descriptors:
            os.close(descriptor)
        raise LinkBroken("descriptors were cut off: this process may open no more files (ulimit -n)")
    return data, descriptors


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
