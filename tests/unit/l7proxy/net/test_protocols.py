from __future__ import annotations

import socket
import time

import pytest

from tests.support.proxy import OK, Proxy, Upstream, answering, proxied, read_until, statuses
from tests.support.waiting import eventually

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_bytes_go_both_ways_and_the_client_may_shut_its_side() -> None:
    with proxied() as (proxy, upstream):
        assert proxy.exchange(GET) == OK
        assert upstream.all == GET


def test_half_closed_client_gets_all_its_answers() -> None:
    with proxied() as (proxy, _):
        assert statuses(proxy.exchange(GET * 3)) == [200, 200, 200]


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
def test_large_bodies_arrive_whole_both_ways(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def behave(upstream: Upstream, made: socket.socket) -> None:
        got = 0
        for data in upstream.recording(made):
            got += len(data)
            if got >= len(body):
                made.sendall(response)
                return

    with proxied(behave) as (proxy, upstream), proxy.connect() as made:
        made.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
        made.sendall(body)
        answer = bytearray()
        while data := made.recv(1 << 16):
            answer += data
        assert bytes(answer).endswith(body)
        assert upstream.all.endswith(body)


def paused(proxy: Proxy) -> bool:
    """The upstream connection is not read from: its client is full."""
    return proxy.call(lambda: [one.pipe.is_reading() for one in proxy.worker._running_pool()._open_now]) == [False]


def test_a_reader_that_stops_does_not_fill_the_proxy() -> None:
    body = b"x" * 40_000_000

    def behave(upstream: Upstream, made: socket.socket) -> None:
        for _ in upstream.recording(made):
            made.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            made.sendall(body)

    with proxied(behave) as (proxy, _), proxy.connect() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.sendall(GET)
        read_until(made, b"\r\n\r\n")
        eventually(lambda: paused(proxy), bool)
        for _ in range(20):
            assert proxy.waiting_bytes() < 2_000_000
            time.sleep(0.01)


def test_upstream_that_resets_gives_502() -> None:
    def behave(upstream: Upstream, made: socket.socket) -> None:
        next(upstream.recording(made))

    with proxied(behave) as (proxy, _), proxy.connect() as made:
        made.sendall(GET)
        assert statuses(read_until(made, b"\r\n\r\n")) == [502]


def test_answers_are_the_upstreams_own() -> None:
    with proxied(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as (proxy, _):
        assert statuses(proxy.exchange(GET)) == [404]
