from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l7proxy.core import request_head as module
from l7proxy.core.limits import Limits
from l7proxy.core.refusal import RequestRefused
from l7proxy.core.request_head import CHUNKED, RequestHead, host_of, read_request
from mesh.objects.names import header_name
from tests.support.playbook import get


def read(raw: bytes) -> RequestHead:
    return read_request(raw, b"10.0.0.9:80", Limits())


def refusal(raw: bytes) -> tuple[str, int]:
    with pytest.raises(RequestRefused) as caught:
        read(raw)
    return caught.value.reason, caught.value.status


def test_plain_head_is_forwarded_as_it_is() -> None:
    raw = get("/a%20b?q=/../", "Accept: */*", "X-Long-Name: v", host="Shop.Example:8080")
    head = read(raw)
    assert (head.method, head.path, head.host, head.forward) == (b"GET", b"/a%20b", "shop.example", raw)
    assert head.asis
    assert not head.close


def test_what_concerns_this_hop_alone_stays_behind() -> None:
    head = read(
        get(
            "/",
            "Connection: keep-alive, X-Drop",
            "Keep-Alive: 5",
            "X-Drop: 1",
            "TE: trailers",
            "Proxy-Authorization: x",
            "Proxy-Connection: close",
            "Upgrade: h2c",
            "HTTP2-Settings: AA",
            "X-Keep: 1",
        )
    )
    assert head.forward == get("/", "X-Keep: 1")
    assert not head.asis
    assert not head.close


LINES = (
    "Connection: keep-alive",
    "connection:\tKeep-Alive \t",
    "CONNECTION:keep-alive",
    "Connection: close",
    "X-Keep: keep-alive",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 017",
    "Content-Length: 1234567890123456789",
    "Content-Length: 5, 5",
    "Host: b",
    "Host: a b",
    "TE: trailers",
    "Expect: 100-continue",
    " folded: 1",
    "Transfer-Encoding: chunked",
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=4), st.sampled_from(("/a?b", "*", "http://c/d")))
def test_the_quick_reader_and_the_slow_one_tell_the_same(lines: list[str], target: str) -> None:
    raw = get(target, *lines, host="Shop:80", method="OPTIONS")
    told: list[object] = []
    for quick in (module._read_plain, lambda *_: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_read_plain", quick)
            try:
                head = read(raw)
                told.append({name: getattr(head, name) for name in RequestHead.__slots__})
            except RequestRefused as refused:
                told.append((refused.reason, refused.status))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (("Connection: keep-alive", "X-Keep: 1"), 0),
        (("X-Keep: 1", "connection:\tKeep-Alive \t"), 0),
        (("X-Keep: keep-alive", "CONNECTION:keep-alive", "content-length:\t5 "), 5),
    ],
)
def test_keep_alive_alone_is_left_out(fields: tuple[str, ...], length: int) -> None:
    head = read(get("/a?b", *fields))
    assert b"onnection" not in head.forward
    assert head.length == length
    assert not head.asis


@pytest.mark.parametrize(
    "fields",
    [
        ("Connection: keep-alive, X-Drop", "X-Drop: 1"),
        ("Connection: keep-alive", "Connection: X-Drop", "X-Drop: 1"),
        ("Connection: keep-alive", "Keep-Alive: 5"),
        ("Connection: keep-alive-not", "Keep-Alive-Not: 5"),
    ],
)
def test_keep_alive_beside_other_options_drops_what_they_name(fields: tuple[str, ...]) -> None:
    assert read(get("/", *fields)).forward == get("/")


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (("Content-Length: 5",), 5),
        (("Content-Length:0",), 0),
        (("Transfer-Encoding: Chunked",), CHUNKED),
        ((), 0),
    ],
)
def test_framing(fields: tuple[str, ...], length: int) -> None:
    assert read(get("/", *fields)).length == length


def test_a_length_that_some_read_as_octal_is_written_anew() -> None:
    assert read(get("/", "Content-Length: 010")).forward == get("/", "Content-Length: 10")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (("Content-Length: 5", "Content-Length: 5"), "content-length"),
        (("Content-Length: 5, 5",), "content-length"),
        (("Content-Length: -1",), "content-length"),
        (("Content-Length: 1234567890123456789",), "content-length"),
        (("Content-Length: 5", "Transfer-Encoding: chunked"), "length-and-coding"),
        (("Transfer-Encoding: gzip, chunked",), "transfer-coding"),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), "transfer-coding"),
        (("Transfer-Encoding: xchunked",), "transfer-coding"),
        (("Transfer-Encoding:",), "transfer-coding"),
        (("Host: b",), "host-missing-or-repeated"),
        (("Connection: content-length", "Content-Length: 5"), "connection-names-framing"),
        (("Connection: host",), "connection-names-framing"),
        (("Connection: a b",), "connection-field"),
        (("X: a\rb",), "bare-cr-or-lf"),
        (("X: a\nContent-Length: 5",), "bare-cr-or-lf"),
    ],
)
def test_ambiguous_fields_are_refused(fields: tuple[str, ...], reason: str) -> None:
    assert refusal(get("/", *fields)) == (reason, 400)


@pytest.mark.parametrize(
    "name",
    [
        "Accept",
        "Connection",
        "Content-Length",
        "HTTP2-Settings",
        "Keep-Alive",
        "Proxy-Anything",
        "Proxy_Anything",
        "TE",
        "Trailer",
        "Upgrade",
    ],
)
def test_a_rule_may_name_exactly_the_fields_that_are_passed_on(name: str) -> None:
    passed_on = (
        f"\r\n{name}: " in read(get("/", f"{name}: {'0' if name == 'Content-Length' else 'x'}")).forward.decode()
    )
    assert passed_on == (header_name(name) is None)


@pytest.mark.parametrize(
    "line",
    [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /\tHTTP/1.1",
        "GET / HTTP/2.0",
        "GET / HTTP/1.2",
        "GET / http/1.1",
        "GET /",
        " GET / HTTP/1.1",
        "GET / a HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET /\x80 HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET / HTTP/1.10",
    ],
)
def test_malformed_request_lines_are_refused(line: str) -> None:
    assert refusal(f"{line}\r\nHost: a\r\n\r\n".encode("latin-1")) == ("request-line", 400)


@pytest.mark.parametrize(
    "target",
    ["a/b", "http://", "http:///x", "http://a.../", "http://.a/", "https://a/", "ftp://a/", "http://u@h/", "*", "//"],
)
def test_targets_that_name_no_place_here_are_refused(target: str) -> None:
    if target == "//":
        assert read(get(target)).path == b"//"
        return
    assert refusal(get(target))[1] == 400


def test_options_for_a_whole_server() -> None:
    head = read(get("*", method="OPTIONS"))
    assert (head.path, head.forward) == (b"*", get("*", method="OPTIONS"))


@pytest.mark.parametrize(
    ("target", "path", "host", "line"),
    [
        (b"http://x.example/p?q", b"/p", "x.example", b"GET /p?q HTTP/1.1\r\nHost: x.example\r\n"),
        (b"HTTP://X.Example:81", b"/", "x.example", b"GET / HTTP/1.1\r\nHost: X.Example:81\r\n"),
        (b"http://x.example?q=1", b"/", "x.example", b"GET /?q=1 HTTP/1.1\r\nHost: x.example\r\n"),
    ],
)
def test_the_target_wins_over_host(target: bytes, path: bytes, host: str, line: bytes) -> None:
    head = read(b"GET " + target + b" HTTP/1.1\r\nHost: other\r\nX: 1\r\n\r\n")
    assert (head.path, head.host) == (path, host)
    assert head.forward == line + b"X: 1\r\n\r\n"


def test_http10_without_host_gets_the_address_it_went_to() -> None:
    head = read(b"GET / HTTP/1.0\r\n\r\n")
    assert (head.host, head.close, head.borrowed) == ("10.0.0.9", True, True)
    assert head.forward == b"GET / HTTP/1.1\r\nHost: 10.0.0.9:80\r\n\r\n"


def test_http10_has_no_expectations_and_no_codings() -> None:
    head = read(b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert b"Expect" not in head.forward
    assert refusal(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")[0] == "transfer-coding"


def test_limits_have_their_own_status() -> None:
    assert refusal(get("/", *("A: b" for _ in range(100)))) == ("too-many-fields", 431)
    assert refusal(get("/" + "a" * 9000)) == ("request-line-too-long", 414)


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b" Shop.Example. ", "shop.example"),
        (b"a:80", "a"),
        (b"[FD00::1]:80", "fd00::1"),
        (b"10.0.0.1", "10.0.0.1"),
        (b"0.0.0.0=5000", "0.0.0.0=5000"),
        (b"a:", None),
        (b"", None),
        (b"a b", None),
        (b"u@h", None),
        (b"a%2e", None),
        (b"a:99999", None),
        (b"a,b", "a,b"),
        (b"shop.example.:80", "shop.example"),
        (b"shop.example..", None),
        (b"shop.example...", None),
        (b"shop.example...:80", None),
        (b"shop..example", None),
        (b".shop.example", None),
        (b".", None),
        (b"[fd00::1..]", None),
        (b"a/b", None),
        (b"[::1", None),
        (b"a:80:80", None),
    ],
)
def test_hosts(value: bytes, host: str | None) -> None:
    if host is not None:
        assert host_of(value) == host
        return
    with pytest.raises(RequestRefused):
        host_of(value)
