"""Waiting for a condition that nothing announces: another thread, a socket, a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST_S = 60.0
"""Only what is broken takes so long: a slow machine must not look like a fault."""


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; TimeoutError after `LONGEST_S`."""
    async with asyncio.timeout(LONGEST_S):
        while not condition():  # noqa: ASYNC110  # conditions here have no event to wait for
            await asyncio.sleep(0.002)


def eventually(look: Callable[[], T], holds: Callable[[T], bool], *, seconds: float = LONGEST_S) -> T:
    """Look again and again until it holds; the AssertionError at the end shows what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s; seen last: {seen}")
        time.sleep(0.05)
