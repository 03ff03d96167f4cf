"""Stable 32-bit numbers for things that the kernel can only name by number: sets of rules, services. Pure.

The number is a hash of the thing's text, so a restarted agent gives the same numbers without having stored any, and
map entries that hold them need no rewrite. A collision moves on to the next salt; 0 means "none" and is never given.
Things that nobody uses any more stay readable for a while, because events that name them may still be under way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import Generic, TypeVar

T = TypeVar("T")

KEEP_S = 120.0
"""How long an unused number can still be explained."""


class NumberTable(Generic[T]):
    """Number <-> thing, for things that are hashable and have a canonical text."""

    def __init__(self, text: Callable[[T], str]) -> None:
        self._text = text
        self._numbers: dict[T, int] = {}
        self._items: dict[int, T] = {}
        self._unused_since: dict[int, float] = {}

    def number(self, item: T) -> int:
        """The number of the thing, given now if it has none."""
        known = self._numbers.get(item)
        if known is not None:
            return known
        text = self._text(item).encode()
        salt = 0
        while True:
            digest = blake2b(text, digest_size=4, salt=salt.to_bytes(8, "big")).digest()
            number = int.from_bytes(digest, "big")
            if number and number not in self._items:
                break
            salt += 1
        self._numbers[item] = number
        self._items[number] = item
        return number

    def item(self, number: int) -> T | None:
        return self._items.get(number)

    def retire(self, in_use: Collection[int], now: float) -> int:
        """Forget what has been out of use for `KEEP_S`; returns how many were forgotten."""
        forgotten = 0
        for number in list(self._items):
            if number in in_use:
                self._unused_since.pop(number, None)
            elif now - self._unused_since.setdefault(number, now) >= KEEP_S:
                del self._unused_since[number]
                del self._numbers[self._items.pop(number)]
                forgotten += 1
        return forgotten

    def __len__(self) -> int:
        return len(self._items)
