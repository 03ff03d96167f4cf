"""Waiting for something that other processes do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], T]) -> T:
    """The first true answer; TimeoutError after five seconds."""
    async with asyncio.timeout(5):
        while True:
            if found := condition():
                return found
            await asyncio.sleep(0.01)
