"""Waiting for something that other processes do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tests.support.waiting import LONGEST_S

T = TypeVar("T")


async def until(condition: Callable[[], T]) -> T:
    """The first true answer; TimeoutError after `LONGEST_S`."""
    async with asyncio.timeout(LONGEST_S):
        while True:
            if found := condition():
                return found
            await asyncio.sleep(0.01)
