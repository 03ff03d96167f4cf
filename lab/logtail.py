"""Logs of components and pods for `lab logs`: the lines there are, then those that come.

Files are named by the supervisor; where there is more than one, every line says whose it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

_POLL_S = 0.2
_LARGEST_READ = 4 * 1024 * 1024
"""Of each file; what is before is older than anyone asks for."""


class LogTail:
    """One reader of some files."""

    def __init__(self, files: Sequence[tuple[str, Path]]) -> None:
        self._files = files
        self._at = {path: max(0, _size(path) - _LARGEST_READ) for _, path in files}
        self._rest = dict.fromkeys(self._at, b"")

    def present(self, tail: int | None) -> list[str]:
        """Whole lines up to now, the last `tail` of each file."""
        lines: list[str] = []
        for title, path in self._files:
            own = self._more(path)
            lines += self._titled(title, own if tail is None else own[max(0, len(own) - tail) :])
        return lines

    async def coming(self) -> AsyncIterator[str]:
        """Lines as they are written, for ever."""
        while True:
            for title, path in self._files:
                for text in self._titled(title, self._more(path)):
                    yield text
            await asyncio.sleep(_POLL_S)

    def _titled(self, title: str, lines: Sequence[str]) -> list[str]:
        return [f"{title}: {line}" for line in lines] if len(self._files) > 1 else list(lines)

    def _more(self, path: Path) -> list[str]:
        try:
            with path.open("rb") as log:
                log.seek(self._at[path])
                new = log.read(_LARGEST_READ)
        except OSError:
            return []
        self._at[path] += len(new)
        *whole, self._rest[path] = (self._rest[path] + new).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
