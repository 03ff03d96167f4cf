"""The agent's side of the proxy: hands out the listening sockets, tells each worker what to authorise by, awaits acks.

Workers connect on proxy.sock, each by itself. Without any worker, connections wait in the accept queue for the grace;
then the kernel is told that the proxy is down, and what is queued is reset. It never goes past the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from agent.channel import Channel, ChannelClosed
from agent.datapath.interface import DatapathError
from agent.errors import AgentError, ListenerTaken, SnapshotRefused
from agent.listeners import Listeners, adopt, close_all, create, reset_queued
from agent.proxyview import same_content
from mesh.api import codec, features
from mesh.api.codec_link import (
    ProxyAck,
    ProxyFlows,
    ProxyHello,
    ProxyWelcome,
    from_proxy,
    snapshot_to_bytes,
    welcome_to_bytes,
)
from mesh.api.floor import Floor
from mesh.api.frames import LIMIT_BYTES
from mesh.journal import line
from mesh.model import FlowRecord
from mesh.snapshot import ProxyView

log = logging.getLogger("proxy")

SWAP_S = 2.0
"""How long a worker may take to swap; one that does not is cut off and must come again."""
ADOPT_S = 1.0
"""How long a starting agent waits for a running proxy to hand the listeners back."""
HELLO_S = 5.0
RETURN_S = 3.0
"""How long an acknowledgement waits for workers. They try twice a second, so this is a proxy that is not there."""
WATCH_S = 0.25
MOST_WORKERS = 256
_UCRED = struct.Struct("3i")


class InForce(Protocol):
    """What the link needs of the enforcer, which tells it of each change."""

    ready: asyncio.Event

    @property
    def view(self) -> ProxyView | None: ...
    async def set_proxy(self, up: bool) -> None: ...


class Worker:
    """One connected worker."""

    def __init__(self, channel: Channel, pid: int) -> None:
        self.channel = channel
        self.pid = pid
        self.told: ProxyView | None = None
        self.acked = -1
        self.ready = False
        self.of = 1
        """How many the proxy has in all."""
        self._acks = asyncio.Event()

    def ack(self, revision: int) -> None:
        self.acked = revision
        self._acks.set()

    def knows(self, view: ProxyView) -> bool:
        return self.ready and same_content(self.told, view)

    async def tell(self, view: ProxyView, message: bytes) -> None:
        """Send a view and wait until the worker has swapped."""
        self._acks.clear()
        await self.channel.send(message)
        self.told = view
        while True:
            await self._acks.wait()
            self._acks.clear()
            if self.acked >= view.revision:
                break
        self.ready = True


class ProxyLink:
    def __init__(
        self,
        path: Path,
        *,
        node: str,
        port: int,
        mark: int,
        grace_s: float,
        redirect_fd: Callable[[], int],
        offer: Callable[[socket.socket, socket.socket], None],
        take_flow: Callable[[FlowRecord], None],
        lost_flows: Callable[[int], None],
    ) -> None:
        self._path = path
        self._node = node
        self._port = port
        self._mark = mark
        self._grace_s = grace_s
        self._redirect_fd = redirect_fd
        self._offer = offer
        self._take_flow = take_flow
        self._lost_flows = lost_flows
        self._listeners: Listeners | None = None
        self._workers: set[Worker] = set()
        self._telling = asyncio.Lock()
        self._since_none = time.monotonic()
        self._up = True
        self._offered = asyncio.Event()
        self._moved = asyncio.Event()
        """A worker has come to the newest view, or the proxy was declared up or down."""
        self._came = asyncio.Event()
        """A worker became ready: `_watch` need not sleep on."""
        self._missed = False
        """Waited for in vain: nobody waits again before another worker comes."""
        self._floor: Floor | None = None
        self._newest: ProxyView | None = None
        """The last one that said something new: workers hold its revision or a later one."""
        self._server: socket.socket | None = None
        self.resets = 0

    @property
    def workers(self) -> int:
        """Those that have swapped at least once."""
        return sum(1 for worker in self._workers if worker.ready)

    async def caught_up(self, within_s: float = RETURN_S) -> bool:
        """Wait for workers that are on their way, as all are after a restart of the agent: they authorise by what they
        hold. True once every worker has swapped to the newest view, or the kernel hands nothing over any more.

        Either way no worker judges by an older one from here on: who is not back answers 503 until then."""
        caught = True
        try:
            async with asyncio.timeout(0 if self._missed else within_s):
                while self._up and self.workers < self._expected:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            self._missed, caught = True, False
        if self._floor is not None and self._newest is not None:
            try:
                self._floor.set(self._newest.revision)
            except OSError as error:  # then nothing may be acknowledged
                raise AgentError(f"cannot tell the proxy's workers what they may judge by: {error.strerror}") from error
        return caught

    @property
    def _expected(self) -> int:
        return max((worker.of for worker in self._workers), default=1)

    @property
    def pids(self) -> list[int]:
        return sorted(worker.pid for worker in self._workers)

    def open(self) -> None:
        """Listen on proxy.sock; root alone may connect."""
        self._path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            server.bind(str(self._path))
        except OSError as error:
            server.close()
            raise AgentError(f"cannot listen on {self._path}: {error.strerror}") from error
        os.chmod(self._path, 0o600)
        floor = self._path.with_suffix(".floor")
        try:
            self._floor = Floor(floor)
        except OSError as error:
            server.close()
            raise AgentError(f"cannot write {floor}: {error.strerror}") from error
        server.listen(MOST_WORKERS)
        self._server = server

    async def run(self, in_force: InForce) -> None:
        """Accept workers until cancelled."""
        if self._server is None:
            self.open()
        server = self._server
        assert server is not None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hold_listeners(), name="proxy-listeners")
                tasks.create_task(self._watch(in_force), name="proxy-watch")
                while True:
                    connection, _ = await asyncio.get_running_loop().sock_accept(server)
                    if len(self._workers) >= MOST_WORKERS:
                        connection.close()
                        continue
                    tasks.create_task(self._serve(connection, in_force), name="proxy-worker")
        finally:
            server.close()
            self._path.unlink(missing_ok=True)

    async def tell(self, view: ProxyView) -> None:
        """Every worker has swapped to `view`, or has been cut off because it did not in time. SnapshotRefused where it
        is more than any worker can be told; then nobody has heard of it."""
        async with self._telling:
            if not same_content(self._newest, view):
                self._newest = view
            workers = [worker for worker in self._workers if not worker.knows(view)]
            if workers:
                message = _message(view)
                await asyncio.gather(*(self._tell_one(worker, view, message) for worker in workers))

    async def _tell_one(self, worker: Worker, view: ProxyView, message: bytes) -> None:
        try:
            async with asyncio.timeout(SWAP_S):
                await worker.tell(view, message)
        except (TimeoutError, ChannelClosed) as error:
            why = str(error) or f"did not swap within {SWAP_S} s"
            log.warning(line("worker cut off", pid=worker.pid, revision=view.revision, why=why))
            self._cut_off(worker)

    async def _hold_listeners(self) -> None:
        """Make the sockets, or wait for a running proxy to hand them back."""
        warned = False
        while self._listeners is None:
            try:
                self._take_listeners(create(self._port))
            except ListenerTaken as error:
                try:
                    async with asyncio.timeout(ADOPT_S):
                        await self._offered.wait()
                except TimeoutError:
                    if not warned:
                        log.warning(line("waiting for the proxy to hand over its listeners", why=error))
                        warned = True

    def _take_listeners(self, listeners: Listeners) -> None:
        self._listeners = listeners
        try:
            self._offer(listeners.v4, listeners.v6)
        except DatapathError as error:
            # All but SYNs from ports that were used within the last minute still find the proxy.
            log.error(line("the kernel does not take the proxy's listeners", why=error))
        self._offered.set()

    async def _watch(self, in_force: InForce) -> None:
        """Tell the kernel whether flows may be handed over; empty the queue of a proxy that stays away."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._came.wait()
            self._came.clear()
            if self.workers:
                self._since_none = time.monotonic()
                await self._become(in_force, up=True)
            elif time.monotonic() - self._since_none > self._grace_s:
                await self._become(in_force, up=False)
                if self._listeners is not None:
                    self.resets += reset_queued(self._listeners)

    async def _become(self, in_force: InForce, *, up: bool) -> None:
        """Called by `_watch` alone, so the kernel's word and ours cannot cross; it tries again what failed."""
        if up == self._up:
            return
        try:
            await in_force.set_proxy(up)
            self._up = up
            self._moved.set()
        except (AgentError, DatapathError) as error:
            log.error(line("cannot tell the kernel about the proxy", up=up, why=error))

    async def _serve(self, connection: socket.socket, in_force: InForce) -> None:
        pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        channel = Channel(connection)
        worker = Worker(channel, pid)
        try:
            if uid not in (0, os.geteuid()):
                raise AgentError(f"process {pid} of user {uid} is neither root nor of this agent's user")
            await self._greet(worker)
            await self._converse(worker, in_force)
        except ChannelClosed as error:
            log.info(line("worker gone", pid=worker.pid, why=error))
        except (AgentError, codec.CodecError, TimeoutError) as error:
            log.warning(line("worker refused", pid=worker.pid, why=str(error) or "said nothing in time"))
        except Exception as error:
            # whatever one worker says or hands over, it is that worker's end and not the agent's
            cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            log.error(line("worker cut off", pid=worker.pid, why=repr(cause)), exc_info=cause)
        finally:
            self._workers.discard(worker)
            channel.close()

    async def _greet(self, worker: Worker) -> None:
        async with asyncio.timeout(HELLO_S):
            hello = from_proxy(await worker.channel.receive())
        if not isinstance(hello, ProxyHello):
            raise AgentError("the first message is not a hello")
        objection = features.objection(hello.version, hello.features, features.REQUIRED_OF_PROXY)
        if objection is not None:
            raise AgentError(objection)
        worker.pid = hello.pid or worker.pid
        worker.of = hello.workers
        self._consider(worker.channel.take_descriptors())
        async with asyncio.timeout(HELLO_S):
            await self._offered.wait()
        assert self._listeners is not None
        assert self._floor is not None
        welcome = ProxyWelcome(node=self._node, listen_port=self._port, mark_from_proxy=self._mark)
        given = [self._redirect_fd()]
        try:
            given.append(self._floor.descriptor())
            await worker.channel.send(welcome_to_bytes(welcome), [*self._listeners.descriptors(), *given])
        finally:
            for descriptor in given:
                os.close(descriptor)

    def _consider(self, descriptors: list[int]) -> None:
        """Listeners that came with a hello: taken if this agent has none, else the same ones and dropped."""
        if not descriptors:
            return
        if self._listeners is not None:
            close_all(descriptors)
            return
        self._take_listeners(adopt(descriptors, self._port))
        log.info(line("listeners handed back by the proxy"))

    async def _converse(self, worker: Worker, in_force: InForce) -> None:
        """Acks and flow records in; the first view goes out beside them."""
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(self._first_view(worker, in_force), name="proxy-first-view")
            try:
                while True:
                    self._take(worker, from_proxy(await worker.channel.receive()))
            except (ChannelClosed, codec.CodecError) as error:
                first.cancel()
                log.info(line("worker gone", pid=worker.pid, why=error))

    async def _first_view(self, worker: Worker, in_force: InForce) -> None:
        """A worker counts from its first swap on. While one is told, no change is told past it."""
        await in_force.ready.wait()
        async with self._telling:
            view = in_force.view
            if view is None:
                return
            message = _message(view)
            self._workers.add(worker)
            await self._tell_one(worker, view, message)
        if worker.ready and worker in self._workers:
            self._missed = False
            self._moved.set()
            log.info(line("worker ready", pid=worker.pid, workers=self.workers))
            self._came.set()

    def _take(self, worker: Worker, message: ProxyHello | ProxyAck | ProxyFlows) -> None:
        if isinstance(message, ProxyAck):
            worker.ack(message.revision)
        elif isinstance(message, ProxyFlows):
            if message.lost:
                self._lost_flows(message.lost)
            for flow in message.flows:
                self._take_flow(flow)

    def _cut_off(self, worker: Worker) -> None:
        self._workers.discard(worker)
        worker.channel.abort()

    def close(self) -> None:
        if self._listeners is not None:
            self._listeners.close()
        if self._floor is not None:
            self._floor.close()


def _message(view: ProxyView) -> bytes:
    message = snapshot_to_bytes(
        codec.proxy_snapshot_to_pb(
            view.revision,
            view.endpoints,
            view.policies,
            view.identities,
            view.services,
            view.trust_domain,
            view.moved,
        )
    )
    if len(message) > LIMIT_BYTES:
        raise SnapshotRefused(
            f"what this node's proxy would have to know takes {len(message)} bytes, above the limit of {LIMIT_BYTES}: "
            f"fewer policies or identities are needed"
        )
    return message
