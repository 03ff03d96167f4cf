"""What was met before, lately: that which comes once is not worth remembering.

Memories fill with what comes again only. A client that never sends the same twice then neither pushes out what others
need nor makes the worker walk through memory that no cache of the CPU holds.
"""

from __future__ import annotations

from array import array


class Seen:
    """A table of hashes, always of the same size: where two meet, the later one stays. Python's hash of bytes has a
    secret of the process in it, so that nobody can choose who meets whom."""

    SLOTS = 4096

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks = array("q", bytes(8 * self.SLOTS))

    def again(self, value: bytes) -> bool:
        """Whether it was asked about not long ago. From now on it was."""
        mark = hash(value)
        slot = mark % self.SLOTS
        if self._marks[slot] == mark:
            return True
        self._marks[slot] = mark
        return False
