"""Upstream connections: opened for one client connection, kept for the same client's next to the same place.

Never shared between client addresses or pods: the server sees the client's own address, and a connection carries what
it was opened for.
"""

from __future__ import annotations

import asyncio
import errno
from functools import partial

from l7proxy.core.sides import ClientSide, Shelf, UpstreamSide
from l7proxy.core.site import Site
from l7proxy.core.tally import add
from l7proxy.net.dial import Dialer
from l7proxy.net.protocols import UpstreamProtocol

Key = tuple[str | int, ...]


class Pool:
    """The shelves, and the connections being opened. Lives in the worker's task group."""

    def __init__(self, site: Site, dialer: Dialer, tasks: asyncio.TaskGroup) -> None:
        self._site = site
        self.dialer = dialer
        self._tasks = tasks
        self._shelves: dict[Key, Shelf] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._open_now: set[UpstreamSide] = set()

    def shelf(self, key: Key) -> Shelf:
        """For a client connection, which gives it back by `leave`."""
        shelf = self._shelves.get(key)
        if shelf is None:
            shelf = self._shelves[key] = Shelf(key)
        shelf.users += 1
        return shelf

    def leave(self, shelf: Shelf) -> None:
        shelf.users -= 1
        self._tidy(shelf)

    def _tidy(self, shelf: Shelf) -> None:
        if not shelf.users and not shelf.idle:
            self._shelves.pop(shelf.key, None)

    def give(self, upstream: UpstreamSide) -> None:
        """Keep it for the next request."""
        site, idle = self._site, upstream.shelf.idle
        limits = site.limits
        if (
            site.draining
            or len(idle) >= limits.pool_per_key
            or site.counters.open_upstreams > limits.upstreams
            or upstream.pipe.is_closing()
        ):
            upstream.pipe.abort()
            return
        upstream.idle_since = site.now
        idle.append(upstream)

    def forget(self, upstream: UpstreamSide) -> None:
        """It is gone."""
        if upstream in self._open_now:
            self._open_now.discard(upstream)
            self._site.counters.open_upstreams -= 1
        shelf = upstream.shelf
        if upstream in shelf.idle:
            shelf.idle.remove(upstream)
        self._tidy(shelf)

    def close_idle(self, before: float, unclaimed_before: float = 0.0) -> None:
        """Close what has not been used since; where no client connection is left, since the second time.

        After a change of policy the client may go to the server directly, from the port of a connection here.
        The server takes it for the old one, ends that, and nobody tells us.
        """
        for shelf in list(self._shelves.values()):
            limit = before if shelf.users else max(before, unclaimed_before)
            for upstream in shelf.idle:
                if upstream.idle_since <= limit:
                    upstream.pipe.abort()
            shelf.idle = [upstream for upstream in shelf.idle if upstream.idle_since > limit]
            self._tidy(shelf)

    def open(self, client: ClientSide) -> None:
        """Connect; then `client.connected` or `client.unconnected` is called."""
        task = self._tasks.create_task(self._open(client), name="connect upstream")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def close(self) -> None:
        """Close what is open, open no more."""
        for task in self._opening:
            task.cancel()
        for upstream in self._open_now:
            upstream.pipe.abort()

    async def _open(self, client: ClientSide) -> None:
        facts, limits, counters = client.facts, self._site.limits, self._site.counters
        shelf = self.shelf(facts.pool_key)  # the client may go before the connection stands: held beside it
        try:
            async with asyncio.timeout(limits.connect_s):
                made = await self.dialer.dial(facts.source_ip, facts.destination_ip, facts.destination_port)
                _, protocol = await asyncio.get_running_loop().create_connection(
                    partial(UpstreamProtocol, self._site, shelf, self.forget), sock=made
                )
        except TimeoutError:
            client.unconnected("connect-timeout", 504)
        except OSError as problem:
            if problem.errno in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM):
                add(counters.unaccepted, "no-socket")
                client.unconnected("no-socket", 503)
            else:
                client.unconnected("connect-refused" if problem.errno == errno.ECONNREFUSED else "connect-failed", 502)
        else:
            counters.upstream_opened += 1
            counters.open_upstreams += 1
            self._open_now.add(protocol.core)
            client.connected(protocol.core)
        finally:
            self.leave(shelf)
