"""Frames: whatever the pieces in which bytes arrive, the same messages come out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.api.frames import LIMIT_BYTES, FrameReader, FrameTooLong, pack


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 30), max_size=40))
def test_messages_come_out_whole_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pack(message) for message in messages)
    reader, out, place = FrameReader(), [], 0
    for cut in cuts:
        out += reader.feed(stream[place : place + cut])
        place += cut
    out += reader.feed(stream[place:])
    assert out == messages
    assert not reader.unfinished


def test_a_frame_that_has_not_ended_is_known() -> None:
    reader = FrameReader()
    assert reader.feed(pack(b"hello")[:-1]) == []
    assert reader.unfinished


def test_a_length_above_the_limit_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(FrameTooLong, match="17 bytes is above the limit of 16"):
        FrameReader(16).feed((17).to_bytes(4, "big"))


def test_nobody_packs_what_nobody_would_read() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return LIMIT_BYTES + 1

    with pytest.raises(ValueError, match="above the limit"):
        pack(Huge())
