"""Response heads: how the body is delimited (RFC 9112, section 6.3), and what of the head the client gets.

An upstream is less trusted than it looks: a response that readers could cut differently is `ResponseBroken`, and the
client gets 502. The character level is llhttp's work in `witness`.
"""

from __future__ import annotations

import re

from l7proxy.core.limits import Limits
from l7proxy.core.refusal import ResponseBroken

CHUNKED = -1
UNTIL_CLOSE = -2

_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_FIELDS = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|keep-alive|te|upgrade|proxy-connection):([^\r\n]*)"
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_KEEP_ALIVE = re.compile(rb"\r\nconnection:[ \t]*keep-alive[ \t]*(?=\r\n)")
_NAMES_OF_THIS_HOP = frozenset({b"connection", b"keep-alive", b"te", b"upgrade", b"proxy-connection"})
_NEVER_DROPPED = frozenset({b"content-length", b"transfer-encoding"})


class ResponseHead:
    """A clear response head."""

    __slots__ = ("asis", "forward", "keep", "length", "status")

    def __init__(self, status: int, length: int, forward: bytes, *, keep: bool, asis: bool) -> None:
        self.status = status
        self.length = length
        """Of the body as the fields say (HEAD has none all the same); CHUNKED; UNTIL_CLOSE."""
        self.forward = forward
        """As the client gets it, for HTTP/1.1, without a Connection field."""
        self.asis = asis
        """`forward` is the head as received."""
        self.keep = keep
        """The upstream connection can be used again."""


def read_response(head: bytes, limits: Limits) -> ResponseHead:
    lines = head.count(b"\r\n")
    if len(head.splitlines()) != lines:  # which a bare CR or LF ends, too
        raise ResponseBroken("bare-cr-or-lf")
    if lines - 2 > limits.header_count:
        raise ResponseBroken("too-many-fields")
    start = _LINE.match(head)
    if not start:
        raise ResponseBroken("status-line")
    status = int(start[2])
    if status == 101:
        raise ResponseBroken("upgrade-not-asked-for")
    lower = head.lower()
    fields = _FIELDS.findall(lower)
    if start[1] == b"1" and status > 199 and status not in (204, 304):
        plain = _read_plain(head, lower, status, fields)
        if plain is not None:
            return plain
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        value = value.strip(b" \t")
        if name not in found:
            found[name] = value
        elif name in _NEVER_DROPPED:
            raise ResponseBroken("framing-repeated")
        else:
            found[name] += b"," + value
    http10 = start[1] == b"0"
    tokens = found[b"connection"].replace(b" ", b"").replace(b"\t", b"").split(b",") if b"connection" in found else []
    keep = b"keep-alive" in tokens if http10 else b"close" not in tokens
    length = _length(status, found, http10=http10)
    drop = _NAMES_OF_THIS_HOP & found.keys()
    for token in tokens:
        if token in _NEVER_DROPPED:
            raise ResponseBroken("connection-names-framing")
        if token and token not in (b"close", b"keep-alive"):
            drop = drop | {token}
    if status < 200 or status in (204, 304):
        drop = drop | ({b"transfer-encoding"} if status == 304 else _NEVER_DROPPED)
        drop = drop & (found.keys() | set(tokens))
    forward = _without(head, drop, http10=http10) if drop or http10 else head
    return ResponseHead(status, length, forward, keep=keep and length != UNTIL_CLOSE, asis=forward is head)


def _read_plain(head: bytes, lower: bytes, status: int, fields: list[tuple[bytes, bytes]]) -> ResponseHead | None:
    """The usual head: one length, at most a Connection field that says what goes without saying. None: not that."""
    found = dict(fields)
    stated = found.pop(b"content-length", b"").strip(b" \t")
    if not _LENGTH.fullmatch(stated):
        return None
    if len(fields) == 1:
        return ResponseHead(status, int(stated), head, keep=True, asis=True)
    line = _KEEP_ALIVE.search(lower)
    if len(fields) != 2 or line is None:
        return None
    forward = head[: line.start()] + head[line.end() :]
    return ResponseHead(status, int(stated), forward, keep=True, asis=False)


def _length(status: int, found: dict[bytes, bytes], *, http10: bool) -> int:
    coding = found.get(b"transfer-encoding")
    stated = found.get(b"content-length")
    if stated is not None and not _LENGTH.fullmatch(stated):
        raise ResponseBroken("content-length")
    if coding is not None and (stated is not None or coding != b"chunked" or http10):
        raise ResponseBroken("transfer-coding")
    if status < 200 or status in (204, 304):
        return 0
    if coding is not None:
        return CHUNKED
    return UNTIL_CLOSE if stated is None else int(stated)


def _without(head: bytes, drop: frozenset[bytes] | set[bytes], *, http10: bool) -> bytes:
    lines = head[:-4].split(b"\r\n")
    if http10:
        lines[0] = b"HTTP/1.1" + lines[0][8:]
    if drop:
        lines[1:] = [line for line in lines[1:] if line.partition(b":")[0].lower() not in drop]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def with_field(head: bytes, field: bytes) -> bytes:
    return head[:-2] + field + b"\r\n\r\n"


def without_field(head: bytes, name: bytes) -> bytes:
    return _without(head, {name}, http10=False)
