"""The echo server's protocol, without a network."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.echo import Echo, UdpEcho


class Wire(asyncio.Transport):
    """What was written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__({"peername": ("10.0.0.9", 4321), "sockname": ("10.0.0.1", 80)})
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True


def talk(*segments: bytes) -> Wire:
    wire, echo = Wire(), Echo({"pod": "web", "namespace": "shop", "node": "n1"})
    echo.connection_made(wire)
    for segment in segments:
        echo.data_received(segment)
    return wire


def answers(wire: Wire) -> list[dict[str, Any]]:
    found, rest = [], wire.sent
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append(json.loads(rest[:length]))
        rest = rest[length:]
    return found


def test_a_request_is_answered_with_who_and_what() -> None:
    (answer,) = answers(talk(b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Env: prod\r\n\r\n"))
    assert (answer["pod"], answer["namespace"], answer["node"], answer["port"]) == ("web", "shop", "n1", 80)
    assert answer["caller"] == {"ip": "10.0.0.9", "port": 4321}
    assert (answer["method"], answer["path"], answer["headers"]["x-env"]) == ("GET", "/a?b=c", "prod")


PIPELINE = (
    b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    b"GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)


@given(st.lists(st.integers(1, len(PIPELINE) - 1), max_size=6))
def test_pipelined_requests_are_answered_in_order_however_they_arrive(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(PIPELINE)]
    wire = talk(*(PIPELINE[a:b] for a, b in zip(at, at[1:], strict=False) if a < b))
    assert [answer["path"] for answer in answers(wire)] == ["/1", "/2", "/3"]
    assert [answer.get("body") for answer in answers(wire)] == ["hello", "abc", None]
    assert wire.closed


def test_head_has_no_body_and_garbage_after_a_request_is_a_400() -> None:
    wire = talk(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wire.sent.endswith(b"\r\n\r\n")
    assert not wire.closed
    wire = talk(b"GET / HTTP/1.1\r\nBad Header\r\n\r\n")
    assert wire.sent.startswith(b"HTTP/1.1 400 ")
    assert wire.closed


@pytest.mark.parametrize("segments", [(b"hello\n",), (b"h", b"ello\n"), (b"\x16\x03\x01", b"\x00\x01")])
def test_other_bytes_come_back_as_they_are(segments: tuple[bytes, ...]) -> None:
    assert talk(*segments).sent == b"".join(segments)


def test_whoami_is_answered_with_the_caller() -> None:
    assert talk(b"whoami\n").sent == b"10.0.0.9 4321\n"
    assert talk(b"hello\n", b"whoami\n").sent == b"hello\n10.0.0.9 4321\n"
    assert talk(b"not whoami\n").sent == b"not whoami\n"


def test_letters_that_could_begin_a_request_are_echoed_at_the_end() -> None:
    wire, echo = Wire(), Echo({"pod": "", "namespace": "", "node": ""})
    echo.connection_made(wire)
    echo.data_received(b"QUIT")
    assert wire.sent == b""
    assert echo.eof_received() is False
    assert wire.sent == b"QUIT"


class Datagrams(asyncio.DatagramTransport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[Any, Any]] = []

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append((data, addr))


def test_datagrams_come_back_to_the_sender() -> None:
    wire, echo = Datagrams(), UdpEcho()
    echo.connection_made(wire)
    echo.datagram_received(b"ping", ("10.0.0.9", 5))
    echo.datagram_received(b"whoami\n", ("10.0.0.9", 5))
    assert wire.sent == [(b"ping", ("10.0.0.9", 5)), (b"10.0.0.9 5\n", ("10.0.0.9", 5))]
