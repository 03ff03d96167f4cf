"""`regex` of a path: refused where it, or a piece of it, can match no path in the spelling that policy compares.

A Deny rule that can never match is the worst of faults, so what is certain is told. What is not is taken: a pattern has
more ways to say a thing than are looked at here.
"""

from __future__ import annotations

import re

from mesh.paths import AmbiguousPath, normalize_path
from mesh.patterns import PatternRefused, compile_pattern

_PIECES = re.compile(
    r"\\?(?P<escape>%[0-9A-Fa-f]{2})(?![?*{])"  # a quantifier would speak of the last digit alone
    r"|(?P<query>\\\?)(?![?*{])"
    r"|\\."
    r"|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]"  # a class: its characters do not stand behind each other
    r"|.",
    re.DOTALL,
)
_ANY_CASE = re.compile(r"\(\?[imsU-]*i")
_BEGINS_OTHERWISE = re.compile(r"\^?[A-Za-z0-9_~%-](?![?*{])")


def path_pattern_reason(text: str) -> str | None:
    try:
        compile_pattern(text)
    except PatternRefused as problem:
        return f"{text[:80]!r} {problem}"
    found = _beyond_ascii(text) or _unlike_paths(text)
    return f"{text[:80]!r}: {found}" if found else None


def _beyond_ascii(text: str) -> str | None:
    for character in text:
        if not character.isascii():
            spelt = normalize_path(f"/{character}".encode())[1:]
            return f"{character!r} is beyond ASCII, and paths are compared percent-encoded: write {spelt}"
    return None


def _unlike_paths(text: str) -> str | None:
    if "\\Q" in text:
        return None
    whole = "|" not in text  # no second alternative that may match
    if whole and _BEGINS_OTHERWISE.match(text):
        return "every path begins with a slash, and the pattern has to match the whole path"
    any_case = _ANY_CASE.search(text) is not None
    for piece in _PIECES.finditer(text):
        if piece["query"] and whole and "(" not in text:
            return "a query is not part of the path"
        if piece["escape"] and (found := _unlike_escapes(piece["escape"], any_case=any_case)):
            return found
    return None


def _unlike_escapes(escape: str, *, any_case: bool) -> str | None:
    try:
        spelt = normalize_path(f"/x{escape}".encode())[2:]
    except AmbiguousPath as problem:
        return f"{escape!r}: {problem}; no request that is let in has such a path"
    if spelt == escape or (any_case and spelt == escape.upper()):
        return None
    return f"{escape!r} is compared as {spelt!r}: write that"
