from __future__ import annotations

import pytest

from l7proxy.core.limits import Limits
from l7proxy.core.refusal import ResponseBroken
from l7proxy.core.response_head import CHUNKED, UNTIL_CLOSE, ResponseHead, read_response, with_field, without_field


def head(*fields: str, line: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1")


def read(raw: bytes) -> ResponseHead:
    return read_response(raw, Limits())


@pytest.mark.parametrize(
    ("raw", "length", "keep"),
    [
        (head("Content-Length: 5"), 5, True),
        (head("content-length:5", "Connection: keep-alive"), 5, True),
        (head("Content-Length: 5", "Connection: close"), 5, False),
        (head("Content-Length: 5", "Connection: keep-alive, Close"), 5, False),
        (head("Transfer-Encoding: chunked"), CHUNKED, True),
        (head(), UNTIL_CLOSE, False),
        (head("Content-Length: 5", line="HTTP/1.0 200 OK"), 5, False),
        (head("Content-Length: 5", "Connection: keep-alive", line="HTTP/1.0 200"), 5, True),
        (head("Content-Length: 5", line="HTTP/1.1 304 Not Modified"), 0, True),
        (head("Transfer-Encoding: chunked", line="HTTP/1.1 304 Not Modified"), 0, True),
        (head("Content-Length: 0", line="HTTP/1.1 204 No Content"), 0, True),
        (head(line="HTTP/1.1 103 Early Hints"), 0, True),
    ],
)
def test_framing_and_reuse(raw: bytes, length: int, *, keep: bool) -> None:
    found = read(raw)
    assert (found.length, found.keep) == (length, keep)


@pytest.mark.parametrize(
    ("raw", "forward"),
    [
        (head("Content-Length: 5", "X: 1"), head("Content-Length: 5", "X: 1")),
        (head("Connection: keep-alive", "Content-Length: 5"), head("Content-Length: 5")),
        (head("Connection: X-A, close", "X-A: 1", "Keep-Alive: 5", "Content-Length: 5"), head("Content-Length: 5")),
        (head("Content-Length: 5", line="HTTP/1.0 200 OK"), head("Content-Length: 5")),
        (head("Content-Length: 5", line="HTTP/1.1 204 No Content"), head(line="HTTP/1.1 204 No Content")),
        (head("Upgrade: h2c", "Connection: upgrade", "Content-Length: 1"), head("Content-Length: 1")),
    ],
)
def test_what_the_client_gets(raw: bytes, forward: bytes) -> None:
    found = read(raw)
    assert found.forward == forward
    assert found.asis is (raw == forward)


@pytest.mark.parametrize(
    "raw",
    [
        head("Content-Length: 5", "Content-Length: 5"),
        head("Content-Length: 5", "Transfer-Encoding: chunked"),
        head("Transfer-Encoding: gzip, chunked"),
        head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        head("Content-Length: x"),
        head("Content-Length: 5,5"),
        head("Content-Length:"),
        head("Transfer-Encoding: chunked", line="HTTP/1.0 200 OK"),
        head("Connection: content-length", "Content-Length: 5"),
        head(line="HTTP/1.1 101 Switching Protocols"),
        head(line="HTTP/2 200 OK"),
        head(line="HTTP/1.1 20 OK"),
        head(line="HTTP/1.1  200 OK"),
        head(line="HTTP/1.1 099 OK"),
        head(line="RTSP/1.1 200 OK"),
        head("A: b\nC: d"),
        head("A: b\rC: d"),
        head(*("A: b" for _ in range(101))),
    ],
)
def test_doubtful_heads_are_broken(raw: bytes) -> None:
    with pytest.raises(ResponseBroken):
        read(raw)


def test_fields_are_put_in_and_taken_out() -> None:
    assert with_field(head("A: b"), b"C: d") == head("A: b", "C: d")
    assert without_field(head("A: b", "c: d"), b"c") == head("A: b")
