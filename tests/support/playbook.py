"""The proxy's core without sockets, loop or clock: bytes in, and what it did with its pipes to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from l7proxy.core.authz import Authorizer
from l7proxy.core.client import ClientConnection
from l7proxy.core.facts import ConnectionFacts, Pipe
from l7proxy.core.heads import Heads
from l7proxy.core.limits import Limits
from l7proxy.core.sides import ClientSide, Shelf, UpstreamSide
from l7proxy.core.site import Recorder
from l7proxy.core.tally import Counters, Tallies
from l7proxy.core.upstream import UpstreamConnection
from mesh.snapshot import ProxyView
from tests.support.proxy import ALLOW_ALL, FACTS


class FakePipe:
    """Remembers. Like a transport it takes nothing after its end."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.reading = True
        self.eof = self.closed = self.aborted = False

    def write(self, data: bytes) -> None:
        assert not self.eof, "written after our side was shut"
        if not self.is_closing():
            self.sent += data

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> Any:
        return None

    @property
    def over(self) -> bool:
        """The peer sees an end."""
        return self.eof or self.closed or self.aborted


class FakeSite:
    """A worker whose connections to upstreams stand when the test says so, or at once."""

    def __init__(self, limits: Limits | None = None, *, at_once: bool = True) -> None:
        self.limits = limits or Limits()
        self.heads = Heads(self.limits)
        self.counters = Counters()
        self.tallies = Tallies(self.counters)
        self.now = 1000.0
        self.draining = False
        self.revision = 1
        self.floor = [0]
        self.authorizer = Authorizer()
        self.record: Recorder | None = None
        self.at_once = at_once
        self.waiting: list[ClientSide] = []
        self.upstreams: list[tuple[UpstreamConnection, FakePipe]] = []
        self.resets: list[Pipe] = []
        self.shelf = Shelf(FACTS.pool_key)

    def clock(self) -> float:
        return self.now

    @property
    def generation(self) -> int:
        return self.authorizer.generation

    def renew(self, client: ClientSide) -> None:
        client.reauthorize(self.authorizer.pair(client.facts))

    def open(self, client: ClientSide) -> None:
        self.waiting.append(client)
        if self.at_once:
            self.connect()

    def connect(self) -> None:
        client = self.waiting.pop(0)
        pipe = FakePipe()
        upstream = UpstreamConnection(self, pipe, self.shelf)
        self.upstreams.append((upstream, pipe))
        client.connected(upstream)

    def release(self, upstream: UpstreamSide) -> None:
        upstream.client = None
        self.shelf.idle.append(upstream)

    def discard(self, upstream: UpstreamSide) -> None:
        upstream.client = None
        upstream.pipe.abort()

    def reset(self, pipe: Pipe) -> None:
        self.resets.append(pipe)
        pipe.abort()


class Play:
    """One client connection under one policy."""

    def __init__(
        self,
        view: ProxyView = ALLOW_ALL,
        *,
        limits: Limits | None = None,
        at_once: bool = True,
        facts: ConnectionFacts = FACTS,
    ) -> None:
        self.site = FakeSite(limits, at_once=at_once)
        self.authorizer = self.site.authorizer
        self.authorizer.swap(view)
        self.pipe = FakePipe()
        self.facts = replace(facts, source_port=40001)
        self.client = ClientConnection(
            self.site, self.pipe, self.authorizer.pair(self.facts), self.facts, self.site.shelf
        )

    def swap(self, view: ProxyView, *, look: bool = True) -> None:
        """`look`: at the connection too, as the worker does after a while."""
        self.site.heads.forget_verdicts()
        self.authorizer.swap(view)
        if look:
            self.site.renew(self.client)

    def ask(self, data: bytes) -> None:
        self.client.feed(data)

    def respond(self, data: bytes, number: int = -1) -> None:
        """From the upstream connection used last, or another."""
        self.site.upstreams[number][0].feed(data)

    @property
    def sent(self) -> bytes:
        """To the client."""
        return bytes(self.pipe.sent)

    @property
    def forwarded(self) -> bytes:
        """To all upstreams, in the order in which they were opened."""
        return b"".join(bytes(pipe.sent) for _, pipe in self.site.upstreams)


def get(path: str = "/", *fields: str, host: str = "a", method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def response(body: bytes = b"ok", *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
