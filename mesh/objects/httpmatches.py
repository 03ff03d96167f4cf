"""The `http:` part of a MeshPolicy rule.

Paths and hosts are brought into the spelling that requests are compared in.
"""

from __future__ import annotations

from mesh.model import HeaderMatch, HttpMatch, Match, PathMatch
from mesh.objects.names import header_name, host_name, http_method
from mesh.objects.pathregex import path_pattern_reason
from mesh.objects.reader import Reader
from mesh.paths import AmbiguousPath, normalize_host, normalize_path
from mesh.patterns import PatternRefused, compile_pattern


def read_http(reader: Reader, name: str) -> tuple[HttpMatch, ...] | None:
    """The entries; None where the field is missing, which means the whole port."""
    if not reader.has(name):
        reader.skip(name)
        return None
    entries = tuple(_read_match(item) for item in reader.each(name))
    if reader.raw(name) == []:
        reader.refuse(name, "is empty and would match no request; leave it out for the whole port")
    return entries


def _read_match(reader: Reader) -> HttpMatch:
    match = HttpMatch(
        methods=reader.texts("methods", http_method),
        paths=tuple(found for item in reader.each("paths") if (found := _read_path(item)) is not None),
        hosts=tuple(normalize_host(host) for host in reader.texts("hosts", host_name)),
        headers=tuple(header for item in reader.each("headers") if (header := _read_header(item)) is not None),
    )
    reader.not_yet("grpc")
    reader.close()
    return match


def _one_of(reader: Reader, options: tuple[str, ...]) -> str:
    given = [name for name in options if reader.has(name)]
    reader.skip(*options)
    if len(given) != 1:
        reader.refuse(None, f"exactly one of {', '.join(options)} is needed")
        return ""
    return given[0]


def _read_path(reader: Reader) -> PathMatch | None:
    way = _one_of(reader, ("exact", "prefix", "regex"))
    value = reader.text(way, check=path_pattern_reason if way == "regex" else _path_reason) if way else ""
    reader.close()
    if not value:
        return None
    return PathMatch(Match(way), value if way == "regex" else normalize_path(value.encode()))


def _read_header(reader: Reader) -> HeaderMatch | None:
    reader.require("name")
    name = reader.text("name", check=header_name).lower()
    way = _one_of(reader, ("exact", "prefix", "regex", "present", "absent"))
    value = ""
    if way in ("present", "absent"):
        if not reader.flag(way, default=True):
            reader.refuse(way, "can only be true")
    elif way:
        value = reader.text(way, check=_VALUE_REASONS[way])
    reader.close()
    return HeaderMatch(name, Match(way), value) if way else None


def _path_reason(text: str) -> str | None:
    try:
        raw = text.encode()
        normalize_path(raw)
    except UnicodeEncodeError:
        return "is not valid Unicode"
    except AmbiguousPath as problem:
        return f"{text[:80]!r}: {problem}; no request that is let in has such a path"
    return f"{text[:80]!r}: a query is not part of the path" if b"?" in raw else None


def _pattern_reason(text: str) -> str | None:
    try:
        compile_pattern(text)
    except PatternRefused as problem:
        return f"{text[:80]!r} {problem}"
    return None


def _ascii_reason(text: str, why: str) -> str | None:
    beyond = next((character for character in text if not character.isascii()), None)
    return None if beyond is None else f"{beyond!r} is beyond ASCII, and {why}"


_VALUES_ARE_BYTES = "header values are bytes without an encoding: only ASCII can be compared"


def _exact_value_reason(text: str) -> str | None:
    if text != text.strip(" \t"):
        return f"{text[:80]!r}: white space around a value is not part of it"
    return _prefix_value_reason(text)


def _prefix_value_reason(text: str) -> str | None:
    if text != text.lstrip(" \t"):
        return f"{text[:80]!r}: white space before a value is not part of it"
    if any((character < " " and character != "\t") or character == "\x7f" for character in text):
        return f"{text[:80]!r}: no header value holds a control character"
    return _ascii_reason(text, _VALUES_ARE_BYTES)


def _value_pattern_reason(text: str) -> str | None:
    return _ascii_reason(text, _VALUES_ARE_BYTES) or _pattern_reason(text)


_VALUE_REASONS = {"exact": _exact_value_reason, "prefix": _prefix_value_reason, "regex": _value_pattern_reason}
