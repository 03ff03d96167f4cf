"""Requests to the kernel's rtnetlink in plain bytes, for what the long-lived agent asks at each start and every second.

pyroute2 would cost the agent eleven megabytes and, with a hundred pods, seconds of its start; it works in `routes.py`,
in a process that ends. Here is no more than framing, acknowledgements and dumps; what a message means knows its caller.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType

CREATE, EXCLUSIVE, REPLACE = 0x400, 0x200, 0x100
_REQUEST, _ACK, _ECHO, _DUMP = 1, 4, 8, 0x300  # some answers come back to the asker as an echo only
_ERROR, _DONE = 2, 3
_CAPPED = 0x100
_SOL_NETLINK = 270
_EXT_ACK = 11
_STRICT = 12
_ACK_TEXT = 1
_TYPE_MASK = 0x3FFF  # the upper two bits of an attribute's type are flags
_TIMEOUT_S = 5.0
_LARGEST_ANSWER = 1 << 16
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


class Refused(Exception):
    """The kernel's answer to a request: its errno, and its own words where it has some."""

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(f"{os.strerror(number)} ({text})" if text else os.strerror(number))
        self.errno = number


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by type. What is cut off is left out."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < _ATTRIBUTE.size or at + size > len(data):
            break
        found[kind & _TYPE_MASK] = data[at + _ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3
    return found


class Rtnetlink:
    """A socket to the kernel, in the caller's network namespace; a context manager. One thread at a time."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        """`protocol`: another part of the kernel that speaks the same framing (netfilter, xfrm)."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def be_strict(self) -> None:
        """From now on the kernel obeys what a dump's request asks for, instead of sending everything."""
        self._socket.setsockopt(_SOL_NETLINK, _STRICT, 1)

    def change(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Returns once the kernel has done it. Refused says why not."""
        self._send(kind, body, _ACK | flags)
        for _ in self._answers():
            pass

    def get(self, kind: int, body: bytes) -> bytes:
        """The body of the one answer; Refused with ENOENT where there is nothing to answer."""
        self._send(kind, body, _ACK | _ECHO)
        answers = list(self._answers())
        if not answers:
            raise Refused(errno.ENOENT)
        return answers[0]

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """The bodies of all answers."""
        self._send(kind, body, _DUMP)
        return list(self._answers())

    def _send(self, kind: int, body: bytes, flags: int) -> None:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)

    def _answers(self) -> Iterator[bytes]:
        """Bodies up to the end of a dump or the acknowledgement; answers to an earlier request are skipped."""
        while True:
            data = self._socket.recv(_LARGEST_ANSWER)
            at = 0
            while at + _HEADER.size <= len(data):
                size, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
                if size < _HEADER.size or at + size > len(data):
                    raise Refused(errno.EBADMSG)
                body = data[at + _HEADER.size : at + size]
                at += (size + 3) & ~3
                if sequence != self._sequence:
                    continue
                if kind in (_ERROR, _DONE):
                    _check(body, flags, end=kind == _DONE)
                    return
                yield body


def _check(body: bytes, flags: int, *, end: bool) -> None:
    """Both ends carry a negative errno; behind it stands the request (where not capped), then the kernel's words."""
    code = struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
    if code >= 0:
        return
    words = b""
    if not end and len(body) >= 4 + _HEADER.size:
        request = _HEADER.size if flags & _CAPPED else _HEADER.unpack_from(body, 4)[0]
        words = attributes(body[4 + ((request + 3) & ~3) :]).get(_ACK_TEXT, b"")
    raise Refused(-code, words.rstrip(b"\0").decode(errors="replace"))
