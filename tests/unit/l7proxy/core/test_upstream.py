from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l7proxy.core.limits import Limits
from tests.support.playbook import Play, get, response
from tests.support.proxy import statuses


def asked(method: str = "GET", *, limits: Limits | None = None) -> Play:
    play = Play(limits=limits)
    play.ask(get(method=method))
    return play


def test_chunked_response_is_framed_anew_with_its_trailers() -> None:
    play = asked()
    play.respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhel")
    play.respond(b"lo\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert play.sent == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    assert len(play.site.shelf.idle) == 1


def test_response_that_ends_with_the_connection_becomes_chunked() -> None:
    play = asked()
    play.respond(b"HTTP/1.1 200 OK\r\n\r\nab")
    play.respond(b"cd")
    play.site.upstreams[0][0].lost(orderly=True)
    assert play.sent == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
    assert not play.pipe.over
    assert play.site.shelf.idle == []


def test_response_that_breaks_off_never_looks_whole() -> None:
    for begun in (
        b"HTTP/1.1 200 OK\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    ):
        play = asked()
        play.respond(begun)
        play.site.upstreams[0][0].lost(orderly=False)
        assert play.site.resets == [play.pipe]
        assert not play.sent.endswith(b"0\r\n\r\n")


def test_head_response_has_no_body_whatever_its_length_says() -> None:
    play = asked("HEAD")
    play.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    play.ask(get("/next"))
    play.respond(response())
    assert statuses(play.sent) == [200, 200]
    assert play.sent.startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nHTTP/1.1")


def test_head_response_with_a_body_is_broken() -> None:
    play = asked("HEAD")
    play.respond(response(b"hello"))
    assert statuses(play.sent) == [502]
    assert b"hello" not in play.sent


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_responses_that_never_have_a_body(status: str) -> None:
    play = asked()
    play.respond(f"HTTP/1.1 {status}\r\n\r\n".encode())
    assert play.sent == f"HTTP/1.1 {status}\r\n\r\n".encode()
    assert len(play.site.shelf.idle) == 1


def test_informational_answers_go_through_and_are_bounded() -> None:
    play = asked()
    play.respond(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 2 + response())
    assert statuses(play.sent) == [103, 103, 200]
    endless = asked(limits=Limits(informational=3))
    endless.respond(b"HTTP/1.1 102 Processing\r\n\r\n" * 9)
    assert statuses(endless.sent) == [102, 102, 102, 502]


def test_one_empty_line_behind_an_informational_answer_is_borne() -> None:
    play = asked()
    play.respond(b"HTTP/1.1 100 Continue\r\n\r\n\r\n" + response())
    assert statuses(play.sent) == [100, 200]


@pytest.mark.parametrize("surplus", [b"\r\n", b"x", response(b"evil")])
def test_bytes_after_a_response_are_never_the_next_one(surplus: bytes) -> None:
    play = asked()
    play.respond(response() + surplus)
    assert statuses(play.sent) == [502]
    assert play.site.upstreams[0][1].aborted
    later = asked()
    later.respond(response())
    later.respond(surplus)
    assert later.sent == response()
    assert later.site.upstreams[0][1].aborted
    assert later.site.counters.upstream_errors == {"unsolicited": 1}


def test_surplus_behind_a_body_that_was_begun_drops_the_connection() -> None:
    play = asked()
    play.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
    play.respond(b"cdHTTP/1.1 200 OK\r\n")
    assert play.sent.endswith(b"\r\n\r\nabcd")
    assert play.site.upstreams[0][1].aborted


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"junk\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_malformed_responses_become_502(raw: bytes) -> None:
    play = asked()
    play.respond(raw)
    assert statuses(play.sent) == [502]
    assert play.site.upstreams[0][1].aborted
    assert not play.pipe.over


def test_malformed_rest_of_a_begun_response_resets_the_client() -> None:
    play = asked()
    play.respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    play.respond(b"zz\r\n")
    assert play.site.resets == [play.pipe]


def test_oversized_head_is_502() -> None:
    play = asked(limits=Limits(head_bytes=200))
    play.respond(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 300)
    assert statuses(play.sent) == [502]


def test_connection_close_from_the_upstream_ends_its_connection_and_not_the_clients() -> None:
    play = asked()
    play.respond(response(b"ok", "Connection: close"))
    assert play.sent == response()
    assert play.site.upstreams[0][1].aborted
    assert not play.pipe.over


def test_slow_upstream_stops_the_client() -> None:
    play = Play()
    play.ask(get("/", "Content-Length: 9", method="POST"))
    upstream = play.site.upstreams[0][0]
    upstream.writable(can=False)
    assert not play.pipe.reading
    upstream.writable(can=True)
    assert play.pipe.reading


ANSWERS = [
    response(b"hello", "Connection: keep-alive"),
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + response(b"hello"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(1, 150), max_size=8))
def test_every_split_of_a_response_gives_the_same_answer(number: int, cuts: list[int]) -> None:
    data = ANSWERS[number]
    whole, split = asked(), asked()
    whole.respond(data)
    at = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in zip(at, at[1:], strict=False):
        split.respond(data[begin:end])
    assert statuses(split.sent) == statuses(whole.sent)
    strip = bytes.maketrans(b"", b"")
    assert split.sent.translate(strip, b"0123456789\r\n") == whole.sent.translate(strip, b"0123456789\r\n")
    assert split.site.counters.allowed == {200: 1}
    assert len(split.site.shelf.idle) == len(whole.site.shelf.idle)
