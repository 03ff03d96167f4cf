"""The lowest revision that a proxy may judge by: one word that the agent writes and each worker reads before a verdict.

A worker that was not let run for a while, or whose agent is another one by now, may hold the policy of before and not
know it. So the agent raises the floor before it acknowledges a revision, and a worker below it judges nothing. The word
stands in a file of the agent's folder, which workers map: an old worker and a new agent still share it.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

_WORD = struct.Struct("=q")


class Floor:
    """The agent's end. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(self._fd).st_size < _WORD.size:
                self.set(0)
        except OSError:
            os.close(self._fd)
            raise

    def set(self, revision: int) -> None:
        """Nobody judges by less from here on."""
        # Written, not mapped: where the disk is full this is an error, and not the end of the process (SIGBUS).
        os.pwrite(self._fd, _WORD.pack(revision), 0)

    def descriptor(self) -> int:
        """One that can only be read, for a worker."""
        return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def close(self) -> None:
        os.close(self._fd)


def shown(descriptor: int) -> memoryview:
    """The worker's end: item 0 is the floor, at any moment. Takes the descriptor. Raises OSError or ValueError."""
    try:
        return memoryview(mmap.mmap(descriptor, _WORD.size, prot=mmap.PROT_READ)).cast("q")
    finally:
        os.close(descriptor)
