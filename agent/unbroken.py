"""Work that is carried to its end once begun, whatever becomes of those who asked for it.

A change is written to the proxy, the kernel and the state one after the other. Who waits for it may be cancelled in the
middle (a stream that breaks, a caller whose time is up, the end of the agent), but half a change would leave the three
in disagreement, and a restart would believe the wrong one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from mesh.journal import line

log = logging.getLogger("agent")
T = TypeVar("T")


class Unbroken:
    """Owns the tasks; `ended` is awaited before the agent ends."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_told)
            raise

    async def ended(self) -> None:
        """Returns when nothing runs any more."""
        while self._running:
            await asyncio.wait(self._running)


def _told(task: asyncio.Task[Any]) -> None:
    """Nobody waits for it: its failure would go unheard."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error(line("a change that nobody waits for any more failed", why=error))
