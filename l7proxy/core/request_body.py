"""The body of one request: which of the client's bytes belong to it, and what the upstream gets for them.

A body with a length goes on as it comes. A chunked one is read by us and by llhttp, and framed anew.
"""

from __future__ import annotations

from l7proxy.core.chunks import ChunkReader, MalformedChunk, frame, last_chunk
from l7proxy.core.limits import Limits
from l7proxy.core.request_head import CHUNKED, RequestHead
from l7proxy.core.witness import ChunkedWitness, Disagreement


class BodyBroken(Exception):
    """Nobody can say where this body ends."""


class LengthBody:
    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def done(self) -> bool:
        return not self._left

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What the upstream gets, and what came behind the body."""
        rest = b""
        if len(data) > self._left:
            data, rest = data[: self._left], data[self._left :]
        self._left -= len(data)
        return data, rest


class ChunkedBody:
    __slots__ = ("_reader", "_witness")

    def __init__(self, head: bytes, limits: Limits) -> None:
        self._reader = ChunkReader(limits)
        self._witness = ChunkedWitness(head, response=False)

    @property
    def done(self) -> bool:
        return self._reader.done

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What the upstream gets, and what came behind the body. Raises BodyBroken."""
        reader = self._reader
        try:
            payload, used = reader.feed(data)
            taken, rest = (data, b"") if used == len(data) else (data[:used], data[used:])
            self._witness.feed(taken, ends=reader.done)
        except (MalformedChunk, Disagreement) as problem:
            raise BodyBroken(str(problem)) from None
        out = frame(payload)
        return (out + last_chunk(reader.trailers) if reader.done else out), rest


RequestBody = LengthBody | ChunkedBody


def body_of(head: RequestHead, limits: Limits) -> RequestBody:
    """For a head that says that there is one."""
    return ChunkedBody(head.forward, limits) if head.length == CHUNKED else LengthBody(head.length)
