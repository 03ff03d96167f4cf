"""Frames of the unix socket between agent and proxy: four bytes of length, big-endian, then one message.

Pure: bytes in, messages out. The sockets are in `agent` and `l7proxy`.
"""

from __future__ import annotations

import struct

_LENGTH = struct.Struct(">I")

LIMIT_BYTES = 64 << 20
"""Longest message that either side accepts."""


class FrameTooLong(Exception):
    """The peer announced a message above the limit; the connection cannot go on, because its place is lost."""


def pack(payload: bytes) -> bytes:
    """One frame. ValueError where no reader would take it."""
    if len(payload) > LIMIT_BYTES:
        raise ValueError(f"a message of {len(payload)} bytes is above the limit of {LIMIT_BYTES}")
    return _LENGTH.pack(len(payload)) + payload


class FrameReader:
    """Cuts a stream of bytes into messages. Holds at most one unfinished frame."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._held = bytearray()

    @property
    def unfinished(self) -> bool:
        """Bytes of a frame that has not ended are held: an end of file now cuts a message."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. Raises FrameTooLong as soon as the length is known."""
        held = self._held
        held += data
        messages: list[bytes] = []
        start = 0
        while len(held) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held, start)
            if length > self._limit:
                raise FrameTooLong(f"a message of {length} bytes is above the limit of {self._limit}")
            end = start + _LENGTH.size + length
            if len(held) < end:
                break
            messages.append(bytes(held[start + _LENGTH.size : end]))
            start = end
        del held[:start]
        return messages
