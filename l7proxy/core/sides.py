"""The two sides of an exchange as each sees the other, and the shelf where upstream connections wait.

`client` and `upstream` know each other by these shapes alone, so that neither module imports the other.
"""

from __future__ import annotations

from typing import Protocol

from l7proxy.core.authz import Denial, Pair, Permit
from l7proxy.core.facts import ConnectionFacts, Pipe
from l7proxy.core.request_head import RequestHead

IDLE, BODY, ANSWER, LINGER, GONE = range(5)
"""Phases of a client connection, see `client`."""


class ClientSide(Protocol):
    """Whom a response is for, and what the access log tells of it."""

    active: float
    phase: int
    dressed: bool
    close_after: bool
    stalled: bool
    head: RequestHead | None
    facts: ConnectionFacts
    pair: Pair
    shelf: Shelf
    verdict: Permit | Denial | None
    started: float
    bytes_in: int
    bytes_out: int

    @property
    def will_close(self) -> bool: ...
    @property
    def request_unfinished(self) -> bool: ...
    def reauthorize(self, pair: Pair) -> None: ...
    def read_on(self, *, can: bool) -> None: ...
    def connected(self, upstream: UpstreamSide) -> None: ...
    def unconnected(self, reason: str, status: int) -> None: ...
    def send_informational(self, data: bytes) -> None: ...
    def send_answer(self, data: bytes) -> None: ...
    def answer_done(self, status: int) -> None: ...
    def answer_whole(self, status: int, data: bytes) -> None: ...
    def upstream_failed(self, reason: str, status: int, *, unheard: bool = False) -> None: ...


class UpstreamSide(Protocol):
    """Where a request goes."""

    pipe: Pipe
    client: ClientSide | None
    shelf: Shelf
    reused: bool
    idle_since: float

    def begin(self, client: ClientSide, *, head_only: bool) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Shelf:
    """Upstream connections that nobody uses now, for one client address and destination.

    A client connection holds on to its shelf, so that taking a connection and giving it back costs a list operation.
    """

    __slots__ = ("idle", "key", "users")

    def __init__(self, key: tuple[str | int, ...]) -> None:
        self.key = key
        self.idle: list[UpstreamSide] = []
        """The one used last is at the end, and taken first."""
        self.users = 0
        """Client connections that take from here, and connections being opened for it."""
