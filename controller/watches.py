"""Who follows objects: each follower has a bounded queue of changes.

A follower that does not keep up is told so and starts again from a list, as with Kubernetes' watches; it never slows
the controller and never misses a change without knowing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from controller.intent import Entry
from controller.store import ObjectId
from mesh.model import Revision

QUEUE_LIMIT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`entry` is the object after a put, or the last state of one that was removed."""

    removed: bool
    entry: Entry
    revision: Revision


class Watch:
    """One follower."""

    def __init__(self, kinds: frozenset[str], limit: int) -> None:
        self._kinds = kinds
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(limit + 1)
        self._limit = limit
        self.overflowed = False

    def wants(self, key: ObjectId) -> bool:
        return not self._kinds or key[0] in self._kinds

    def offer(self, event: Event) -> None:
        if self.overflowed:
            return
        if self._queue.qsize() >= self._limit:
            self.overflowed = True
            self._queue.put_nowait(None)
            return
        self._queue.put_nowait(event)

    def end(self) -> None:
        """The controller stops: the follower gets what is queued, then the end."""
        if not self.overflowed and self._queue.qsize() <= self._limit:
            self._queue.put_nowait(None)

    async def next(self) -> Event | None:
        """The next change; None at the end: `overflowed` says why."""
        return await self._queue.get()


class Watches:
    """All followers."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._ended = False

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, kinds: Iterable[str], limit: int = QUEUE_LIMIT) -> Watch:
        watch = Watch(frozenset(kinds), limit)
        self._watches.add(watch)
        if self._ended:
            watch.end()
        return watch

    def remove(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def publish(self, key: ObjectId, event: Event) -> None:
        for watch in self._watches:
            if watch.wants(key):
                watch.offer(event)

    def end(self) -> None:
        self._ended = True
        for watch in self._watches:
            watch.end()
