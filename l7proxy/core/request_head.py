"""Request heads: from the bytes before the blank line to what policy asks and what the upstream gets.

Refuses everything that two readers could understand differently (RFC 9112, sections 2.2, 3.2, 6.3, 11.2). Nothing is
repaired: either the head is clear, or the client gets an error and the connection ends. A clear head is forwarded as
received where nothing in it concerns this hop alone, otherwise rebuilt from its own lines. The character level (tokens,
control characters, bare CR or LF, folding) is llhttp's work in `witness`, with the counts here as a second look.
"""

from __future__ import annotations

import re
from functools import lru_cache

from l7proxy.core.limits import Limits
from l7proxy.core.refusal import RequestRefused
from mesh.paths import normalize_host

CHUNKED = -1

# No `#`: a fragment never belongs in a request, and readers differ on where the path ends then.
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])\r\n")
# Looked for in the lower-cased head. Everything here is either framing, authority, or concerns this hop alone.
_FIELDS = re.compile(
    rb"\r\n(host|content-length|transfer-encoding|connection|expect|keep-alive|te|upgrade|http2-settings"
    rb"|proxy-[^:\r\n]*):([^\r\n]*)"
)
_KEEP_ALIVE = re.compile(rb"\r\nconnection:[ \t]*keep-alive[ \t]*(?=\r\n)")
_PLAIN_LENGTH = re.compile(rb"[ \t]*(0|[1-9][0-9]{0,17})[ \t]*")
_PLAIN_FIELDS = frozenset({b"host", b"content-length", b"connection"})
_HOST = re.compile(rb"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._~!$&'()*+,;=-]{1,255})(?::([0-9]{1,5}))?")
_ABSOLUTE = re.compile(rb"[hH][tT][tT][pP]://([^/?]*)(.*)", re.DOTALL)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")

_THIS_HOP = frozenset({b"connection", b"keep-alive", b"te", b"upgrade", b"http2-settings"})
# Naming one of these in Connection would make the upstream read another message than the one authorised.
_NEVER_DROPPED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})


class RequestHead:
    """A clear request head. A plain class with slots: one is made per request, a frozen dataclass costs three times."""

    __slots__ = (
        "asis",
        "borrowed",
        "close",
        "forward",
        "host",
        "http10",
        "keep10",
        "length",
        "method",
        "path",
    )

    def __init__(self, method: bytes, path: bytes, host: str, forward: bytes) -> None:
        self.method = method
        self.path = path
        """Origin form without the query, not decoded; `*` for OPTIONS."""
        self.host = host
        """Lower case, without port and trailing dot."""
        self.forward = forward
        """The head as the upstream gets it."""
        self.asis = True
        """`forward` is the head as received."""
        self.borrowed = False
        """Host came from the connection, not from the head."""
        self.length = 0
        """Of the body; CHUNKED where it says so itself."""
        self.close = False
        """The client wants the connection closed after the answer."""
        self.http10 = False
        self.keep10 = False
        """An HTTP/1.0 client asked to keep the connection."""


def read_request(head: bytes, authority: bytes, limits: Limits) -> RequestHead:
    """`head` ends with the blank line. `authority` stands in for Host where HTTP/1.0 leaves it out."""
    lines = head.count(b"\r\n")
    if len(head.splitlines()) != lines:  # which a bare CR or LF ends, too
        raise RequestRefused("bare-cr-or-lf")
    if lines - 2 > limits.header_count:
        raise RequestRefused("too-many-fields", 431)
    start = _LINE.match(head)
    if not start:
        raise _bad_request_line(head)
    method, target, minor = start.groups()
    if start.end() > limits.request_line_bytes:
        raise RequestRefused("request-line-too-long", 414)
    lower = head.lower()
    fields = _FIELDS.findall(lower)
    plain = _read_plain(method, target, head, lower, fields) if minor == b"1" and target[0] == 0x2F else None
    if plain is not None:
        return plain
    return _read_slowly(head, (method, target, minor), fields, authority)


def _read_plain(
    method: bytes, target: bytes, head: bytes, lower: bytes, fields: list[tuple[bytes, bytes]]
) -> RequestHead | None:
    """The usual head: Host, perhaps a length, perhaps a Connection field that says what goes without saying. None: not
    that."""
    path = target.partition(b"?")[0]
    if len(fields) == 1 and fields[0][0] == b"host":
        return RequestHead(method, path, host_of(fields[0][1]), head)
    found = dict(fields)
    if len(found) != len(fields) or b"host" not in found or not _PLAIN_FIELDS.issuperset(found):
        return None
    request = RequestHead(method, path, host_of(found[b"host"]), head)
    if b"content-length" in found:
        length = _PLAIN_LENGTH.fullmatch(found[b"content-length"])
        if length is None:
            return None
        request.length = int(length[1])
    if b"connection" in found:
        line = _KEEP_ALIVE.search(lower)
        if line is None:
            return None
        request.asis = False
        request.forward = head[: line.start()] + head[line.end() :]
    return request


def _read_slowly(
    head: bytes, line: tuple[bytes, bytes, bytes], fields: list[tuple[bytes, bytes]], authority: bytes
) -> RequestHead:
    method, target, minor = line
    if method == b"CONNECT":
        raise RequestRefused("connect-not-offered", 405)
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value.strip(b" \t"))
    hosts = found.get(b"host", [])
    if len(hosts) > 1 or (not hosts and minor == b"1"):
        raise RequestRefused("host-missing-or-repeated")
    # Policy sees the name that the upstream sees.
    host = host_of(hosts[0] if hosts else authority)
    replaced: list[bytes] = [] if hosts else [b"Host: " + authority]
    if target[0] != 0x2F and target != b"*":
        named, target = _from_absolute(target)
        host = host_of(named)
        replaced = [b"Host: " + named]
    elif target == b"*" and method != b"OPTIONS":
        raise RequestRefused("request-target")
    request = RequestHead(method, target.partition(b"?")[0], host, head)
    request.http10 = minor == b"0"
    request.borrowed = not hosts
    drop = _this_hop(request, found)
    _framing(request, found)
    if request.http10 or drop or replaced or target != line[1] or _odd_length(found):
        request.asis = False
        request.forward = _rebuild(request, target, head, drop, replaced)
    return request


def _bad_request_line(head: bytes) -> RequestRefused:
    if head.startswith(b"CONNECT "):
        return RequestRefused("connect-not-offered", 405)
    return RequestRefused("request-line")


def _from_absolute(target: bytes) -> tuple[bytes, bytes]:
    """Authority and origin form. The target wins over Host (RFC 9112, section 3.2.2)."""
    found = _ABSOLUTE.fullmatch(target)
    if not found or not found[1]:
        raise RequestRefused("request-target")
    path = found[2]
    return found[1], path if path[:1] == b"/" else b"/" + path


@lru_cache(maxsize=1024)
def host_of(value: bytes) -> str:
    """The host of an authority as policy compares it. Userinfo and percent-encoding are refused, not interpreted."""
    found = _HOST.fullmatch(value.strip(b" \t"))
    if not found or (found[2] and int(found[2]) > 65535):
        raise RequestRefused("host")
    if b".." in found[1] or found[1].startswith(b"."):
        raise RequestRefused("host")  # an empty label: some servers read on past it, `pay.shop...` is pay.shop to them
    return normalize_host(found[0].decode("ascii"))


def _this_hop(request: RequestHead, found: dict[bytes, list[bytes]]) -> set[bytes]:
    """Read what concerns this hop; the names of the fields that stay behind."""
    drop = {name for name in found if name in _THIS_HOP or name.startswith(b"proxy-")}
    tokens: set[bytes] = set()
    for value in found.get(b"connection", ()):
        for item in value.split(b","):
            token = item.strip(b" \t")
            if token and not _TOKENS.fullmatch(token):
                raise RequestRefused("connection-field")
            tokens.add(token)
    tokens.discard(b"")
    if tokens & _NEVER_DROPPED:
        raise RequestRefused("connection-names-framing")
    request.keep10 = request.http10 and b"keep-alive" in tokens and b"close" not in tokens
    request.close = b"close" in tokens or (request.http10 and not request.keep10)
    expectations = found.get(b"expect", ())
    if any(value != b"100-continue" for value in expectations) or len(expectations) > 1:
        raise RequestRefused("expectation", 417)
    if expectations and request.http10:
        drop.add(b"expect")  # RFC 9110, section 10.1.1: ignored in HTTP/1.0
    return drop | (tokens - {b"close"})


def _framing(request: RequestHead, found: dict[bytes, list[bytes]]) -> None:
    codings = found.get(b"transfer-encoding")
    lengths = found.get(b"content-length")
    if codings:
        if lengths:
            raise RequestRefused("length-and-coding")
        if codings != [b"chunked"] or request.http10:
            raise RequestRefused("transfer-coding")
        request.length = CHUNKED
    elif lengths:
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise RequestRefused("content-length")
        request.length = int(lengths[0])


def _odd_length(found: dict[bytes, list[bytes]]) -> bool:
    """`003` is a valid number that not everybody reads as decimal."""
    lengths = found.get(b"content-length")
    return lengths is not None and lengths[0] != b"%d" % int(lengths[0])


def _rebuild(request: RequestHead, target: bytes, head: bytes, drop: set[bytes], replaced: list[bytes]) -> bytes:
    """The head from its own lines, for HTTP/1.1, without what stays behind."""
    lines = head[:-4].split(b"\r\n")
    kept = [request.method + b" " + target + b" HTTP/1.1", *replaced]
    if replaced:
        drop = drop | {b"host"}
    for line in lines[1:]:
        name = line.partition(b":")[0].lower()
        if name in drop:
            continue
        kept.append(b"Content-Length: %d" % request.length if name == b"content-length" else line)
    return b"\r\n".join(kept) + b"\r\n\r\n"
