"""Waiting for a condition that nothing announces: another thread, a socket, a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LONGEST_S = 10.0


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; TimeoutError after `LONGEST_S`."""
    async with asyncio.timeout(LONGEST_S):
        while not condition():  # noqa: ASYNC110  # conditions here have no event to wait for
            await asyncio.sleep(0.002)
