"""One worker process: accepts redirected connections, holds the newest policy, drives the core, drains on SIGTERM.

The edge that the core calls (`Site`) and the owner of every task of the process. Nothing here decides about a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from l7proxy.config import ProxyConfig
from l7proxy.core.authz import Authorizer
from l7proxy.core.client import ClientConnection
from l7proxy.core.facts import ConnectionFacts, Pipe
from l7proxy.core.heads import Heads
from l7proxy.core.shares import Payer, Payers, Shares, payers, too_much
from l7proxy.core.sides import ClientSide, UpstreamSide
from l7proxy.core.site import Recorder
from l7proxy.core.tally import Counters, Tallies, add
from l7proxy.net.access_log import AccessLog
from l7proxy.net.agent_link import AgentLink, LinkBroken
from l7proxy.net.dial import Dialer, TransparentDialer, reset_on_close
from l7proxy.net.listen import Listeners
from l7proxy.net.origin import Origins, RedirectMap, plain
from l7proxy.net.pool import Pool
from l7proxy.net.protocols import ClientProtocol
from mesh.api.codec_link import ProxyWelcome
from mesh.api.floor import shown
from mesh.snapshot import ProxyView

log = logging.getLogger(__name__)

TICK_S = 0.25
CHECK_EVERY_TICKS = 4
FLUSH_EVERY_TICKS = 2
GARBAGE_OBJECTS = 50_000
LOOK_S = 0.005
"""For how long connections are looked at in one go after the view changed. All of them, 20,000, take well under a
second."""


class Worker:
    """`origins` and `dialer` are replaced by the agent's welcome; tests give their own."""

    def __init__(self, config: ProxyConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = config.limits
        self.counters = Counters()
        self.tallies = Tallies(self.counters)
        self.heads = Heads(config.limits)
        self.clock = clock
        self.now = clock()
        self.draining = False
        self.generation = 0
        self.revision = -1
        self.floor: Sequence[int] = (0,)
        self._swapped_at = 0.0
        self.node = ""
        self.clients: dict[ClientConnection, Payers] = {}
        self._shares = Shares(config.limits)
        self._config = config
        self._authorizer = Authorizer()
        self._origins: Origins | None = None
        self._pool: Pool | None = None
        self._own: set[tuple[str, int]] = set()
        self._stop = asyncio.Event()
        self._arriving = 0
        """Accepted, and not yet handed to a transport."""
        self._empty = asyncio.Event()
        """Set while no connection is open or arriving."""
        self._empty.set()
        self._unseen: deque[ClientConnection] = deque()
        """Not looked at since the view changed, longest first."""
        self._looking: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._listeners = Listeners(self._on_accepted, self._on_exhausted)
        self._link = AgentLink(config.agent_socket, self, lambda: self._listeners.descriptors, workers=config.workers)
        self.access_log: AccessLog | None = None
        if config.access_log:
            self.access_log = AccessLog(config.access_log, lambda: self.node, time.time, clock)
        self.record: Recorder | None = self.access_log.record if self.access_log else None

    # ---- life ------------------------------------------------------------------------------------------------

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Serve until `stop`, then drain. All tasks live in `tasks`."""
        self.start(tasks)
        following = tasks.create_task(self._link.run(), name="agent link")
        await self.until_stopped()
        following.cancel()

    async def until_stopped(self) -> None:
        """Serve, and drain when told to."""
        await self._stop.wait()
        self._listeners.stop()
        await self._drain()

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """The parts that need a running loop."""
        self._tasks = tasks
        self._ticking = tasks.create_task(self._tick(), name="tick")

    def stop(self) -> None:
        """SIGTERM."""
        self._stop.set()

    def reopen_log(self) -> None:
        """SIGHUP."""
        if self.access_log is not None:
            self.access_log.reopen()

    async def _drain(self) -> None:
        """No new connections; what is in flight is answered; the rest is closed when its time is over."""
        self.draining = True
        self.now = self.clock()
        for client in self.clients:
            client.active = self.now  # a keep-alive client gets its moment to send, and to hear `Connection: close`
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.drain_s):
                await self._empty.wait()
        if self.clients:
            log.warning("%d connections did not end within %g s and are reset", len(self.clients), self._config.drain_s)
        for client in list(self.clients):
            self.reset(client.pipe)
        await self._flush()
        self._ticking.cancel()
        if self._pool is not None:
            self._pool.close()
        self._listeners.close()
        if self.access_log is not None:
            self.access_log.close()

    async def _tick(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(TICK_S)
            count += 1
            self.now = self.clock()
            if count % CHECK_EVERY_TICKS == 0:
                self._check()
            if count % FLUSH_EVERY_TICKS == 0:
                await self._flush()

    def _check(self) -> None:
        for client in list(self.clients):
            client.check(self.now)
        self._bound_memory()
        if self._pool is not None:
            self._pool.close_idle(self.now - self.limits.pool_idle_s, self._swapped_at)

    def _bound_memory(self) -> None:
        """A client that opens many connections and reads no answer would take all the memory."""
        held: dict[Payer, list[tuple[ClientConnection, int]]] = {}
        for client, who in self.clients.items():
            if self._shares.crowded(who.of_bytes):
                held.setdefault(who.of_bytes, []).append((client, client.waiting_bytes()))
        for sizes in held.values():
            for client in too_much(sizes, self.limits.client_bytes):
                add(self.counters.refused, "not-reading")
                self.reset(client.pipe)

    async def _flush(self) -> None:
        if self.access_log is not None:
            self.access_log.flush()
            self.counters.log_lines_lost = self.access_log.lost
        if not self._link.up:
            return  # verdicts go on being counted where they are; the memory for them is bounded
        records = self.tallies.take(self.node, time.time_ns(), _new_id)
        lost = self.tallies.take_lost()
        if not records and not lost:
            return
        try:
            await self._link.send_flows(records, lost)
        except (LinkBroken, OSError):
            self.tallies.lose(len(records) + lost)

    # ---- from the agent --------------------------------------------------------------------------------------

    def welcomed(self, welcome: ProxyWelcome, descriptors: list[int]) -> None:
        self.node = welcome.node
        listening = [socket.socket(fileno=descriptor) for descriptor in descriptors[:2]]
        self.floor = shown(descriptors[3])
        self.adopt(listening, RedirectMap(descriptors[2]), TransparentDialer(welcome.mark_from_proxy))
        log.info("node %s: listening sockets received", welcome.node)

    def adopt(self, listening: list[socket.socket], origins: Origins, dialer: Dialer, *, own: bool = True) -> None:
        """Use these from now on. `own`: a connection to the listeners' own address is nobody's, and is closed."""
        if isinstance(self._origins, RedirectMap):
            self._origins.close()
        self._origins = origins
        if self._pool is None:
            if self._tasks is None:
                raise RuntimeError("the worker was not started")
            self._pool = Pool(self, dialer, self._tasks)
        self._pool.dialer = dialer
        self._listeners.adopt(listening)
        self._own = self._listeners.names if own else set()
        self._accept_if_ready()

    def swapped(self, view: ProxyView) -> None:
        """A new view is in force from here on: no request is judged by another. Connections that it forbids are sought
        and cut a few milliseconds at a time, so that the others are served meanwhile, however many there are."""
        first = self._authorizer.view is None
        self._authorizer.swap(view)
        self.generation = self._authorizer.generation
        self.revision = view.revision
        self._swapped_at = self.clock()
        self.heads.forget_verdicts()
        self.counters.revision = view.revision
        self._unseen = deque(dict.fromkeys((*self._unseen, *self.clients)))
        self._look()
        if self._unseen and self._tasks is not None and (self._looking is None or self._looking.done()):
            self._looking = self._tasks.create_task(self._look_on(), name="look for forbidden connections")
        if first:
            # What stands now lives as long as the process. Later garbage is mostly freed by its last reference;
            # the default threshold would walk the kept heads every few hundred requests (measured: half of a
            # request's time where all heads differ).
            gc.collect()
            gc.freeze()
            gc.set_threshold(GARBAGE_OBJECTS, 20, 100)
        self._accept_if_ready()

    def _look(self) -> None:
        end = self.clock() + LOOK_S
        while self._unseen:
            client = self._unseen.popleft()
            if client in self.clients and client.pair.generation != self.generation:
                self.renew(client)
                if self.clock() >= end:
                    return

    async def _look_on(self) -> None:
        """A view that comes meanwhile puts all others behind those that wait already: nobody is passed over."""
        while self._unseen:
            await asyncio.sleep(0)
            self._look()

    def _accept_if_ready(self) -> None:
        if self._origins is not None and self._authorizer.view is not None and not self.draining:
            self._listeners.start()

    # ---- accepting -------------------------------------------------------------------------------------------

    def _on_accepted(self, made: socket.socket) -> None:
        facts = self._facts_of(made)
        if facts is None or self._tasks is None:
            reset_on_close(made)
            made.close()
            return
        who = payers(facts)
        self._shares.take(who)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._arriving += 1
        self._empty.clear()
        self._tasks.create_task(self._serve(made, facts, who), name="accept")

    def _facts_of(self, made: socket.socket) -> ConnectionFacts | None:
        unaccepted = self.counters.unaccepted
        try:
            peer, local = plain(made.getpeername()), plain(made.getsockname())
        except OSError:
            add(unaccepted, "gone")
            return None
        if local in self._own:
            add(unaccepted, "proxy-port")
            return None
        if len(self.clients) >= self.limits.connections:
            add(unaccepted, "too-many")
            return None
        facts = self._origins.find(peer, local) if self._origins is not None else None
        if facts is None:
            add(unaccepted, "no-record")
        elif self._shares.full(payers(facts)):
            add(unaccepted, "share")
            return None
        return facts

    async def _serve(self, made: socket.socket, facts: ConnectionFacts, who: Payers) -> None:
        """Hand the socket to a transport. The only task of a connection, and it ends here."""
        pool = self._running_pool()
        facts = self._authorizer.current(facts)
        shelf = pool.shelf(facts.pool_key)
        factory = partial(ClientProtocol, self, self._authorizer.pair(facts), facts, shelf, partial(self._on_gone, who))
        try:
            transport, protocol = await asyncio.get_running_loop().connect_accepted_socket(factory, made)
        except OSError:
            add(self.counters.unaccepted, "gone")
            pool.leave(shelf)
            self._shares.give(who)
            made.close()
        else:
            self.counters.accepted += 1
            self.counters.open_clients += 1
            self.clients[protocol.core] = who
            if self._shares.crowded(who.of_bytes):
                transport.set_write_buffer_limits(high=self._shares.pipe_bytes(who.of_bytes))
            self.renew(protocol.core)  # a view that came meanwhile did not find it among the clients
        finally:
            self._arriving -= 1
            self._tell_if_empty()

    def _on_gone(self, who: Payers, client: ClientConnection) -> None:
        self._shares.give(who)
        if self.clients.pop(client, None) is not None:
            self._running_pool().leave(client.shelf)
            self.counters.open_clients -= 1
            self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if not self.clients and not self._arriving:
            self._empty.set()

    def _on_exhausted(self) -> None:
        add(self.counters.unaccepted, "no-descriptors")
        log.error("no file descriptors left: raise the limit (ulimit -n, LimitNOFILE); new connections wait")

    # ---- Site ------------------------------------------------------------------------------------------------

    def renew(self, client: ClientSide) -> None:
        facts = self._authorizer.current(client.facts)
        pair = self._authorizer.pair(facts)
        left = client.shelf
        if facts.pool_key != left.key:
            client.shelf = self._running_pool().shelf(facts.pool_key)
        if pair.blocked is not None:
            for upstream in (*left.idle, *client.shelf.idle):
                self.reset(upstream.pipe)
        if client.shelf is not left:
            self._running_pool().leave(left)
        client.facts = facts
        client.reauthorize(pair)

    def open(self, client: ClientSide) -> None:
        self._running_pool().open(client)

    def release(self, upstream: UpstreamSide) -> None:
        upstream.client = None
        self._running_pool().give(upstream)

    def _running_pool(self) -> Pool:
        if self._pool is None:
            raise RuntimeError("a request came before the listening sockets")
        return self._pool

    def discard(self, upstream: UpstreamSide) -> None:
        upstream.client = None
        upstream.pipe.abort()

    def reset(self, pipe: Pipe) -> None:
        made = pipe.get_extra_info("socket")
        if made is not None and not pipe.is_closing():
            reset_on_close(made)
        pipe.abort()


def _new_id() -> str:
    return os.urandom(9).hex()
