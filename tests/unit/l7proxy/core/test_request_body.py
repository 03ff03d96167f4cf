from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7proxy.core.limits import Limits
from l7proxy.core.request_body import BodyBroken, RequestBody, body_of
from l7proxy.core.request_head import read_request
from tests.support.playbook import get

CHUNKS = b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n"
FRAMED = b"5\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n"
NEXT = get("/next")


def body(*fields: str) -> RequestBody:
    return body_of(read_request(get("/", *fields, method="POST"), b"a", Limits()), Limits())


def test_body_with_a_length_goes_on_as_it_comes() -> None:
    five = body("Content-Length: 5")
    assert five.feed(b"hel") == (b"hel", b"")
    assert not five.done
    assert five.feed(b"lo" + NEXT) == (b"lo", NEXT)
    assert five.done


def test_chunked_body_is_framed_anew_without_extensions() -> None:
    chunked = body("Transfer-Encoding: chunked")
    assert chunked.feed(CHUNKS + NEXT) == (FRAMED, NEXT)
    assert chunked.done


@given(st.sets(st.integers(1, len(CHUNKS) - 1)))
def test_payload_and_end_do_not_depend_on_where_segments_end(cuts: set[int]) -> None:
    chunked = body("Transfer-Encoding: chunked")
    out = b""
    bounds = [0, *sorted(cuts), len(CHUNKS)]
    for begin, end in zip(bounds, bounds[1:], strict=False):
        assert not chunked.done
        piece, rest = chunked.feed(CHUNKS[begin:end])
        assert rest == b""
        out += piece
    assert chunked.done
    again = body("Transfer-Encoding: chunked")
    again.feed(out)
    assert again.done
    assert out.endswith(b"0\r\nA: b\r\n\r\n")


@pytest.mark.parametrize("data", [b"5\r\nhello!\r\n", b"zz\r\n", b"5\nhello\r\n", b"-1\r\n", b"0\r\nHost: b\r\n\r\n"])
def test_body_that_readers_could_end_elsewhere_is_broken(data: bytes) -> None:
    with pytest.raises(BodyBroken):
        body("Transfer-Encoding: chunked").feed(data)
