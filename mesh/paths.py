"""The one spelling of an HTTP path and of a host that policy compares.

A request line can spell one path in many ways, and an upstream may read them as one. What is surely equal is made equal
(escaped unreserved characters, the case of escapes); what is ambiguous raises `AmbiguousPath` and becomes a 400: it is
never repaired. Manifests go through the same functions, so both sides of a comparison are spelt alike.
"""

from __future__ import annotations

_HEX = frozenset(b"0123456789abcdefABCDEF")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b"%\\#?")
"""Bytes that mean themselves. A query or fragment mark never gets here."""
_PLAIN_BYTES = bytes(_PLAIN)
_FORBIDDEN_ESCAPES = {0x2F: "an encoded slash", 0x5C: "an encoded backslash", 0x00: "an encoded NUL"}

_OVERLONG = tuple(
    "".join(f"%{byte:02X}" for byte in form)
    for character in b"./\\"
    for form in (
        (0xC0 | character >> 6, 0x80 | character & 0x3F),
        (0xE0, 0x80 | character >> 6, 0x80 | character & 0x3F),
        (0xF0, 0x80, 0x80 | character >> 6, 0x80 | character & 0x3F),
    )
)


class AmbiguousPath(ValueError):
    """A path that two programs could read differently; the text says what is wrong with it."""


def normalize_path(raw: bytes) -> str:
    """The path of an origin-form request target: without query, unreserved characters decoded. Raises AmbiguousPath.

    `*` (the target of OPTIONS for a whole server) stays `*`. The caller has cut an absolute form to its path.
    """
    path, _, _ = raw.partition(b"?")
    if path == b"*":
        return "*"
    if not path.startswith(b"/"):
        raise AmbiguousPath("the path does not begin with a slash")
    text = _decode(path) if path.translate(None, _PLAIN_BYTES) else path.decode("ascii")
    if "%" in text:
        _refuse_overlong(text)
    if "/." in text:
        _refuse_dot_segments(text)
    return text


def _decode(path: bytes) -> str:
    """Unreserved escapes decoded, other escapes in upper case, bytes beyond ASCII escaped."""
    out: list[str] = []
    position = 0
    while position < len(path):
        byte = path[position]
        if byte == 0x25:
            digits = path[position + 1 : position + 3]
            if len(digits) != 2 or digits[0] not in _HEX or digits[1] not in _HEX:
                raise AmbiguousPath("a percent sign without two hexadecimal digits")
            out.append(_escape(int(digits, 16)))
            position += 3
            continue
        if byte in _PLAIN:
            out.append(chr(byte))
        elif byte >= 0x80:
            out.append(f"%{byte:02X}")
        else:
            raise AmbiguousPath(_unwanted(byte))
        position += 1
    return "".join(out)


def _escape(byte: int) -> str:
    if byte in _UNRESERVED:
        return chr(byte)
    if byte in _FORBIDDEN_ESCAPES:
        raise AmbiguousPath(_FORBIDDEN_ESCAPES[byte])
    if byte < 0x20 or byte == 0x7F:
        raise AmbiguousPath("an encoded control character")
    return f"%{byte:02X}"


def _unwanted(byte: int) -> str:
    if byte == 0x5C:
        return "a backslash"
    if byte == 0x23:
        return "a fragment"
    if byte == 0:
        return "a NUL"
    return "a space" if byte == 0x20 else "a control character"


def _refuse_overlong(text: str) -> None:
    """UTF-8 has one form of each character (RFC 3629, section 3). Readers that take longer ones see a dot or slash."""
    if any(form in text for form in _OVERLONG):
        raise AmbiguousPath("a dot, slash or backslash in overlong UTF-8")


def _refuse_dot_segments(text: str) -> None:
    """`.` and `..`, also with a parameter behind them: Java containers cut `..;x` to `..`."""
    for segment in text.split("/"):
        name = segment.partition(";")[0].partition("%3B")[0]
        if name in (".", ".."):
            raise AmbiguousPath(f"a dot segment ({segment})")


def merge_slashes(path: str) -> str:
    """The path as an upstream sees it that takes several slashes for one. Deny rules look at this spelling too."""
    while "//" in path:
        path = path.replace("//", "/")
    return path


def decode_reserved(path: str) -> str:
    """The path as an upstream sees it that decodes every printable escape: `/us%40er` is `/us@er` to it. They may mean
    different things (RFC 3986, section 2.2), so Allow rules never do. Deny rules look at this spelling too."""
    head, *rest = path.split("%")
    out = [head]
    for piece in rest:
        digits = piece[:2]
        byte = int(digits, 16) if len(digits) == 2 and _HEX.issuperset(digits.encode()) else 0
        out.append(chr(byte) + piece[2:] if 0x20 <= byte < 0x7F else f"%{piece}")
    return "".join(out)


def without_parameters(path: str) -> str:
    """The path as Java containers see it: `/a;v=1/b` is `/a/b` to them. Deny rules look at this spelling too."""
    return "/".join(segment.partition(";")[0] for segment in path.split("/"))


def normalize_host(raw: str) -> str:
    """A Host header or authority as policy compares it: lower case, without port and without the root's dot."""
    host = raw.strip().lower()
    if host.startswith("["):
        inside, bracket, _ = host[1:].partition("]")
        return inside if bracket else host
    name, colon, port = host.rpartition(":")
    if colon and ":" not in name and (port == "" or port.isdecimal()):
        host = name
    return host.removesuffix(".")
