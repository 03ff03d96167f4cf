"""What a connection needs of the worker that it lives in. The core knows the worker by this shape alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from l7proxy.core.facts import Pipe
from l7proxy.core.heads import Heads
from l7proxy.core.limits import Limits
from l7proxy.core.sides import ClientSide, UpstreamSide
from l7proxy.core.tally import Counters, Tallies


class Recorder(Protocol):
    """Notes the outcome of an exchange."""

    def __call__(self, client: ClientSide, status: int, reason: str) -> None: ...


class Site(Protocol):
    limits: Limits
    heads: Heads
    counters: Counters
    tallies: Tallies
    clock: Callable[[], float]
    """Monotonic seconds, exact; asked twice for a request."""
    now: float
    """The same, some hundred milliseconds old: what deadlines are measured with."""
    draining: bool
    generation: int
    """Of the newest view, see `authz.Authorizer`. A pair of another one must not judge a request."""
    revision: int
    """Of the newest view."""
    floor: Sequence[int]
    """One number, which the agent may change at any moment: a view of a lower revision must not judge a request."""
    record: Recorder | None
    """Writes the access log; None where it is off."""

    def renew(self, client: ClientSide) -> None:
        """Bring its facts, pair and shelf to the newest view; cut it where no request can pass any more."""

    def open(self, client: ClientSide) -> None:
        """Connect to where the client meant to; `client.connected` or `client.unconnected` is called later."""

    def release(self, upstream: UpstreamSide) -> None:
        """The exchange is over and the connection can serve another."""

    def discard(self, upstream: UpstreamSide) -> None:
        """The connection must not be used again."""

    def reset(self, pipe: Pipe) -> None:
        """Close so that the peer sees an error, not an orderly end."""
