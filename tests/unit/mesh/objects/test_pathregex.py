"""Patterns of paths: what no path that policy compares can ever match is told apart from what one may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.objects.pathregex import path_pattern_reason
from mesh.paths import AmbiguousPath, normalize_path
from mesh.patterns import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("/é.*", "'é' is beyond ASCII, and paths are compared percent-encoded: write %C3%A9"),
        ("/€", "'€' is beyond ASCII, and paths are compared percent-encoded: write %E2%82%AC"),
        ("/[^é]*", "'é' is beyond ASCII"),
        ("/%c3%A9", "'%c3' is compared as '%C3'"),
        ("/%C3%a9", "'%a9' is compared as '%A9'"),
        ("/(x|%c3)+", "'%c3' is compared as '%C3'"),
        ("/%61dmin", "'%61' is compared as 'a'"),
        (r"/\%61dmin", "'%61' is compared as 'a'"),
        (r"/\\%61dmin", "'%61' is compared as 'a'"),
        ("/[%x]%7e", "'%7e' is compared as '~'"),
        ("/%2e", "'%2e' is compared as '.'"),
        ("(?i)/%4a", "'%4a' is compared as 'J'"),
        ("/%c3+", "'%c3' is compared as '%C3'"),
        ("/a%2Fb", "'%2F': an encoded slash; no request that is let in has such a path"),
        ("/%00", "'%00': an encoded NUL"),
        ("admin/.*", "every path begins with a slash"),
        ("^v[0-9]+$", "every path begins with a slash"),
        (r"/search\?q=.*", "a query is not part of the path"),
        ("a(", "is no RE2 pattern"),
        ("\udc80", "is not valid Unicode"),
    ],
)
def test_what_no_path_matches_is_refused(pattern: str, reason: str) -> None:
    found = path_pattern_reason(pattern)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    ("pattern", "request_path"),
    [
        ("/v[0-9]+/items", "/v1/items"),
        ("^/api$", "/api"),
        ("/%C3%A9", "/é"),
        ("/%2561", "/%2561"),
        ("(?i)/%c3", "/%c3"),
        ("/[%61]+", "/6"),
        ("/[]%61]+", "/6"),
        ("/[[:alpha:]%61]+", "/a6"),
        (r"/[\]%61]+", "/6"),
        ("/%6f?0", "/%60"),
        ("/%6f*0", "/%60"),
        ("/%6f{0,1}0", "/%60"),
        (r"/\Q%6f\E?0", "/%60"),
        (r"/%\x430", "/%C0"),
        ("/%[A-F][0-9]", "/%c3"),
        ("(/a|/b)", "/a"),
        ("a|/b", "/b"),
        ("x?/b", "/b"),
        (".*", "/"),
        ("[*/].*", "/x"),
        (r"/search(\?.*)?", "/search"),
        (r"/a\??", "/a"),
        ("/a?b", "/b"),
        (r"\*", "*"),
    ],
)
def test_what_a_path_may_match_is_taken(pattern: str, request_path: str) -> None:
    assert path_pattern_reason(pattern) is None
    assert compile_pattern(pattern).fullmatch(normalize_path(request_path.encode()))


@given(st.text(alphabet="/%26aAcCeE?*[]\\|(){}.x^", max_size=12), st.text(alphabet="/%26aAcCeE*.x", max_size=8))
def test_a_pattern_that_matches_a_path_is_taken(pattern: str, path: str) -> None:
    """Apart from the pieces that are refused by name although the rest of their pattern may match without them."""
    reason = path_pattern_reason(pattern)
    if reason is None or "RE2" in reason or any(mark in pattern for mark in "|?*{"):
        return
    try:
        spelt = normalize_path(b"/" + path.encode())
    except AmbiguousPath:
        return
    assert not compile_pattern(pattern).fullmatch(spelt)
