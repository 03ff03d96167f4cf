from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7proxy.core.chunks import ChunkReader, MalformedChunk, frame, last_chunk
from l7proxy.core.limits import Limits


def read(*pieces: bytes, limits: Limits | None = None) -> tuple[bytes, ChunkReader, int]:
    reader = ChunkReader(limits or Limits())
    payload, used = b"", 0
    for piece in pieces:
        parts, took = reader.feed(piece)
        payload += b"".join(parts)
        used += took
    return payload, reader, used


def test_payload_trailers_and_end_are_found() -> None:
    data = b'5;a=b;c="x;\\"y"\r\nhello\r\n1\r\n!\r\n000\r\nX-Sum: 9\r\n\r\nGET /'
    payload, reader, used = read(data)
    assert payload == b"hello!"
    assert reader.done
    assert reader.trailers == b"X-Sum: 9\r\n"
    assert data[used:] == b"GET /"


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(0, 200), max_size=6))
def test_what_was_framed_is_read_back_however_it_is_split(payload: list[bytes], cuts: list[int]) -> None:
    data = frame(payload) + last_chunk(b"A: b\r\n")
    at = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    body, reader, used = read(*(data[begin:end] for begin, end in zip(at, at[1:], strict=False)))
    assert (body, reader.done, used) == (b"".join(payload), True, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"5 \r\nhello",
        b" 5\r\nhello",
        b"0x5\r\nhello",
        b"+5\r\nhello",
        b"5;\r\nhello",
        b"5;a=\r\nhello",
        b'5;a="b\r\nhello',
        b"5; a=b\r\nhello",
        b"\r\n",
        b"5\nhello",
        b"5\r\nhelloX",
        b"5\r\nhello\n",
        b"5\r\nhello\r\r",
        b"-1\r\n",
        b"5\rX",
        b"1234567890abcdef0\r\n",
        b"G\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTransfer-Encoding: x\r\n\r\n",
        b"0\r\nHost: x\r\n\r\n",
        b"0\r\nbad name: 1\r\n\r\n",
        b"0\r\n folded: 1\r\n\r\n",
        b"0\r\nA: b\nC: d\r\n\r\n",
        b"0\r\nA: \x00\r\n\r\n",
    ],
)
def test_malformed_bodies_are_not_repaired(data: bytes) -> None:
    with pytest.raises(MalformedChunk):
        read(data)
    with pytest.raises(MalformedChunk):
        read(*(data[i : i + 1] for i in range(len(data))))


def test_lines_and_trailers_are_bounded() -> None:
    limits = Limits(chunk_line_bytes=20, trailer_bytes=40)
    line, trailers = b"5;" + b"a" * 30, b"0\r\n" + b"A: bbbb\r\n" * 6
    for data in (line, line + b"\r\n", trailers, b"0\r\nA: " + b"b" * 60):
        with pytest.raises(MalformedChunk):
            read(data, limits=limits)


def test_an_empty_piece_is_not_framed_as_the_end() -> None:
    assert frame([b"", b"a"]) == b"1\r\na\r\n"
