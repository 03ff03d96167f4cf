"""The asyncio protocols of both sides: they hand bytes and events to the core, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from l7proxy.core.authz import Pair
from l7proxy.core.client import ClientConnection
from l7proxy.core.facts import ConnectionFacts
from l7proxy.core.limits import Limits
from l7proxy.core.sides import Shelf
from l7proxy.core.site import Site
from l7proxy.core.upstream import UpstreamConnection


class ClientProtocol(asyncio.Protocol):
    __slots__ = ("_core", "_facts", "_gone", "_pair", "_shelf", "_site")

    def __init__(
        self, site: Site, pair: Pair, facts: ConnectionFacts, shelf: Shelf, gone: Callable[[ClientConnection], None]
    ) -> None:
        self._site = site
        self._pair = pair
        self._facts = facts
        self._shelf = shelf
        self._gone = gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pipe = cast(asyncio.Transport, transport)
        bound(pipe, self._site.limits)
        self._core = ClientConnection(self._site, pipe, self._pair, self._facts, self._shelf)

    @property
    def core(self) -> ClientConnection:
        return self._core

    def data_received(self, data: bytes) -> None:
        self._core.feed(data)

    def eof_received(self) -> bool:
        self._core.feed_eof()
        return True  # the core closes when nothing is owed any more

    def pause_writing(self) -> None:
        self._core.writable(can=False)

    def resume_writing(self) -> None:
        self._core.writable(can=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._core.lost()
        self._gone(self._core)


class UpstreamProtocol(asyncio.Protocol):
    __slots__ = ("_core", "_gone", "_shelf", "_site")

    def __init__(self, site: Site, shelf: Shelf, gone: Callable[[UpstreamConnection], None]) -> None:
        self._site = site
        self._shelf = shelf
        self._gone = gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pipe = cast(asyncio.Transport, transport)
        bound(pipe, self._site.limits)
        self._core = UpstreamConnection(self._site, pipe, self._shelf)

    @property
    def core(self) -> UpstreamConnection:
        return self._core

    def data_received(self, data: bytes) -> None:
        self._core.feed(data)

    def pause_writing(self) -> None:
        self._core.writable(can=False)

    def resume_writing(self) -> None:
        self._core.writable(can=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone(self._core)
        self._core.lost(orderly=exc is None)


def bound(pipe: asyncio.Transport, limits: Limits) -> None:
    """What waits in a transport for a slow reader is bounded: above the mark the other side is paused."""
    pipe.set_write_buffer_limits(high=limits.pipe_bytes)
