"""How much of a worker each client has: connections, and bytes that wait for a slow reader.

A client is a pod of this node, or an address elsewhere. What comes from elsewhere is also charged to the pod that it is
for, so that many addresses together cannot take a worker from the other pods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from l7proxy.core.facts import ConnectionFacts
from l7proxy.core.limits import Limits

T = TypeVar("T")
Payer = tuple[str, str | int]


@dataclass(frozen=True, slots=True)
class Payers:
    """Who is charged for one connection."""

    client: Payer
    server: Payer | None
    """The pod that it is for, where it comes from elsewhere."""

    @property
    def of_bytes(self) -> Payer:
        return self.server or self.client


def payers(facts: ConnectionFacts) -> Payers:
    if facts.source_endpoint:
        return Payers(("pod", facts.source_endpoint), None)
    return Payers(("address", facts.source_ip), ("server", facts.destination_endpoint))


class Shares:
    """Connections that are open or arriving, by who is charged."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: Counter[Payer] = Counter()

    def full(self, who: Payers) -> bool:
        """One more would be more than a share."""
        if self._open[who.client] >= self._limits.connections_per_client:
            return True
        return who.server is not None and self._open[who.server] >= self._limits.connections_per_server

    def take(self, who: Payers) -> None:
        for payer in (who.client, who.server):
            if payer is not None:
                self._open[payer] += 1

    def give(self, who: Payers) -> None:
        for payer in (who.client, who.server):
            if payer is not None:
                self._open[payer] -= 1
                if self._open[payer] <= 0:
                    del self._open[payer]

    def crowded(self, payer: Payer) -> bool:
        """So many connections that their buffers together may hold more than a share of bytes."""
        return 2 * self._limits.pipe_bytes * self._open[payer] > self._limits.client_bytes

    def pipe_bytes(self, payer: Payer) -> int:
        """Mark above which the other side of a new connection is paused: the more there are, the lower."""
        fair = self._limits.client_bytes // (2 * max(1, self._open[payer]))
        return min(self._limits.pipe_bytes, max(fair, self._limits.least_pipe_bytes))

    def __len__(self) -> int:
        return len(self._open)


def too_much(held: Iterable[tuple[T, int]], limit: int) -> list[T]:
    """Those that hold most, until the rest holds no more than the limit."""
    largest_first = sorted(held, key=lambda item: item[1], reverse=True)
    total = sum(size for _, size in largest_first)
    given_up: list[T] = []
    for item, size in largest_first:
        if total <= limit:
            break
        given_up.append(item)
        total -= size
    return given_up
