"""Chunked bodies, strictly (RFC 9112, section 7.1): incremental, bounded, and without repairing anything.

`ChunkReader.feed` takes bytes as they come and gives the payload; where the body ends it says so and how many bytes it
took. Extensions are checked and dropped. Used for both directions, so it raises `MalformedChunk` and the caller decides
who is at fault.
"""

from __future__ import annotations

import re

from l7proxy.core.limits import Limits

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*\r\n")
_TRAILER_LINE = re.compile(rb"(" + _TOKEN + rb"):[\t \x21-\x7e\x80-\xff]*\r\n")
# A partial line that can still become a good one has no line feed and no carriage return but as its last byte.
_NO_LINE_END = re.compile(rb"[^\r\n]*\r?\Z")

# Fields that would change framing, routing or authorisation after the fact (RFC 9110, section 6.5.1).
_NEVER_A_TRAILER = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-length",
        b"cookie",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


class MalformedChunk(Exception):
    """The body cannot be trusted from here on."""


class ChunkReader:
    """One chunked body."""

    __slots__ = ("_left", "_limits", "_line", "_state", "done", "trailers")

    SIZE, DATA, DATA_END, TRAILERS, DONE = range(5)

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._state = self.SIZE
        self._left = 0
        self._line = b""
        self.done = False
        self.trailers = b""
        """Field lines, each with its CRLF, once `done`."""

    def feed(self, data: bytes) -> tuple[list[bytes], int]:
        """The payload in `data`, in order, and how many bytes of `data` belong to this body."""
        payload: list[bytes] = []
        held = len(self._line)
        if held:
            data = self._line + data
            self._line = b""
        at = 0
        while at < len(data) and not self.done:
            if self._state == self.DATA:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                payload.append(piece)
                if not self._left:
                    self._state = self.DATA_END
                continue
            line = self._take_line(data, at)
            if line is None:
                self._line = data[at:]
                return payload, len(data) - held
            at += len(line)
            self._on_line(line)
        return payload, at - held

    def _take_line(self, data: bytes, at: int) -> bytes | None:
        limit = self._limits.trailer_bytes if self._state == self.TRAILERS else self._limits.chunk_line_bytes
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > limit:
                raise MalformedChunk("a line is too long")
            if not _NO_LINE_END.match(data, at) or (self._state == self.DATA_END and data[at] != 0x0D):
                raise MalformedChunk("a line does not end with CRLF")
            return None
        if end - at > limit:
            raise MalformedChunk("a line is too long")
        return data[at : end + 2]

    def _on_line(self, line: bytes) -> None:
        if self._state == self.DATA_END:
            if line != b"\r\n":
                raise MalformedChunk("a chunk is longer than its size")
            self._state = self.SIZE
        elif self._state == self.SIZE:
            found = _SIZE_LINE.fullmatch(line)
            if not found:
                raise MalformedChunk("a chunk size is malformed")
            self._left = int(found[1], 16)
            self._state = self.DATA if self._left else self.TRAILERS
        elif line == b"\r\n":
            self._state = self.DONE
            self.done = True
        else:
            found = _TRAILER_LINE.fullmatch(line)
            if not found or found[1].lower() in _NEVER_A_TRAILER:
                raise MalformedChunk("a trailer is malformed or not allowed")
            self.trailers += line
            if len(self.trailers) > self._limits.trailer_bytes:
                raise MalformedChunk("the trailers are too long")


def frame(payload: list[bytes]) -> bytes:
    """Payload as chunks, without extensions."""
    parts: list[bytes] = []
    for piece in payload:
        if piece:
            parts += (b"%x\r\n" % len(piece), piece, b"\r\n")
    return b"".join(parts)


def last_chunk(trailers: bytes) -> bytes:
    return b"0\r\n" + trailers + b"\r\n"
