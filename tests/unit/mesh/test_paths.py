"""One spelling of paths and hosts, and what is too ambiguous to have one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.paths import AmbiguousPath, decode_reserved, merge_slashes, normalize_host, normalize_path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/api/items?x=/../%2f", "/api/items"),
        (b"/%61pi/%7Euser", "/api/~user"),
        (b"/a%20b%c3%a9", "/a%20b%C3%A9"),
        ("/é".encode(), "/%C3%A9"),
        (b"/a//b", "/a//b"),
        (b"/...", "/..."),
        (b"/.well-known/x", "/.well-known/x"),
        (b"/a%252e", "/a%252e"),
        (b"*", "*"),
    ],
)
def test_what_is_surely_equal_is_spelt_alike(raw: bytes, path: str) -> None:
    assert normalize_path(raw) == path


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "does not begin"),
        (b"api", "does not begin"),
        (b"/a%2Fb", "encoded slash"),
        (b"/a%2fb", "encoded slash"),
        (b"/a%5cb", "encoded backslash"),
        (b"/a\\b", "a backslash"),
        (b"/a%00", "NUL"),
        (b"/a\x00", "NUL"),
        (b"/a%0d%0a", "control character"),
        (b"/a\tb", "control character"),
        (b"/a b", "space"),
        (b"/a#b", "fragment"),
        (b"/a%", "percent"),
        (b"/a%4", "percent"),
        (b"/a%zz", "percent"),
        (b"/a/../b", "dot segment"),
        (b"/a/./b", "dot segment"),
        (b"/a/..", "dot segment"),
        (b"/%2e%2E/b", "dot segment"),
        (b"/.%2e", "dot segment"),
        (b"/a/..;x=1/b", "dot segment"),
        (b"/a/..%3bx/b", "dot segment"),
        (b"/%c0%ae%c0%ae/b", "overlong"),
        (b"/a%C0%AFb", "overlong"),
        (b"/a\xc1\x9cb", "overlong"),
        (b"/%e0%80%af", "overlong"),
        (b"/%f0%80%80%ae", "overlong"),
    ],
)
def test_what_is_ambiguous_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(AmbiguousPath, match=reason):
        normalize_path(raw)


@given(st.binary(max_size=40))
def test_a_normalized_path_stays_as_it_is(raw: bytes) -> None:
    try:
        path = normalize_path(b"/" + raw)
    except AmbiguousPath:
        return
    assert normalize_path(path.encode()) == path


def test_printable_escapes_are_decoded_for_deny_rules() -> None:
    assert decode_reserved("/us%40er%3Bx%20y%2540") == "/us@er;x y%40"
    assert decode_reserved("/%C3%A9%0A%") == "/%C3%A9%0A%"


def test_slashes_are_merged_for_deny_rules() -> None:
    assert merge_slashes("///a////b/") == "/a/b/"


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        ("Payments.Shop:8080", "payments.shop"),
        ("payments.shop.", "payments.shop"),
        ("payments.shop.:80", "payments.shop"),
        ("10.0.0.7:80", "10.0.0.7"),
        ("[FD00::1]:80", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("host:", "host"),
        ("", ""),
    ],
)
def test_a_host_is_lower_case_and_has_no_port(raw: str, host: str) -> None:
    assert normalize_host(raw) == host
