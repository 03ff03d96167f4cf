"""Framing: attributes, answers in pieces, refusals. (The kernel's own answers: tests/bpf.)"""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.datapath import rtnetlink
from agent.datapath.rtnetlink import Refused, Rtnetlink, attribute, attributes, number

GET_LINK = 18
IFINFO = struct.Struct("=BxHiII")


@given(st.dictionaries(st.integers(1, 200), st.binary(max_size=40), max_size=8))
def test_attributes_come_back_as_they_went(wanted: dict[int, bytes]) -> None:
    raw = b"".join(attribute(kind, value) for kind, value in wanted.items())
    assert len(raw) % 4 == 0
    assert attributes(raw) == wanted


@given(st.binary(max_size=64))
def test_garbage_is_no_attribute_and_no_crash(raw: bytes) -> None:
    attributes(raw)


def test_flags_in_a_type_are_not_part_of_it() -> None:
    assert attributes(attribute(0x8002, b"x")) == {2: b"x"}


class Answering:
    """A socket whose kernel says these packets."""

    def __init__(self, *packets: bytes) -> None:
        self.packets = list(packets)
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent = data

    def recv(self, _size: int) -> bytes:
        return self.packets.pop(0)

    def close(self) -> None:
        return None


def message(kind: int, body: bytes, *, sequence: int = 1, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


def talk(*packets: bytes) -> Rtnetlink:
    link = Rtnetlink()
    link._socket.close()
    link._socket = Answering(*packets)  # type: ignore[assignment]  # stands for the socket
    return link


DONE = message(3, struct.pack("=i", 0))
ACK = message(2, struct.pack("=i", 0) + bytes(16))


def test_a_dump_may_come_in_many_packets() -> None:
    link = talk(message(16, b"one!") + message(16, b"two!"), message(16, b"three"), DONE)
    assert link.dump(GET_LINK, b"") == [b"one!", b"two!", b"three"]


def test_late_answers_to_an_earlier_question_are_skipped() -> None:
    link = talk(message(16, b"late", sequence=77) + message(16, b"mine"), ACK)
    assert link.get(GET_LINK, b"") == b"mine"


def test_an_acknowledgement_without_an_answer_is_nothing_found() -> None:
    with pytest.raises(Refused) as told:
        talk(ACK).get(GET_LINK, b"")
    assert told.value.errno == errno.ENOENT


@pytest.mark.parametrize("capped", [False, True])
def test_a_refusal_brings_the_kernels_words(capped: bool) -> None:
    request = struct.pack("=IHHII", 16 + 8, 36, 5, 1, 0) + (b"" if capped else bytes(8))
    body = struct.pack("=i", -errno.EEXIST) + request + attribute(1, b"Exclusivity flag on\0")
    with pytest.raises(Refused, match="Exclusivity flag on") as told:
        talk(message(2, body, flags=0x200 | (0x100 if capped else 0))).change(36, bytes(8))
    assert told.value.errno == errno.EEXIST


def test_a_dump_can_end_in_a_refusal() -> None:
    with pytest.raises(Refused):
        talk(message(3, struct.pack("=i", -errno.EINVAL))).dump(GET_LINK, b"")


def test_a_cut_message_is_refused() -> None:
    with pytest.raises(Refused) as told:
        talk(struct.pack("=IHHII", 400, 16, 0, 1, 0)).dump(GET_LINK, b"")
    assert told.value.errno == errno.EBADMSG


def test_the_kernel_answers() -> None:
    with Rtnetlink() as link:
        loopback = link.get(GET_LINK, IFINFO.pack(0, 0, 1, 0, 0))
        assert attributes(loopback[16:])[3] == b"lo\0"
        assert any(attributes(one[16:])[3] == b"lo\0" for one in link.dump(GET_LINK, IFINFO.pack(0, 0, 0, 0, 0)))
        with pytest.raises(Refused) as told:
            link.get(GET_LINK, IFINFO.pack(0, 0, 999_999, 0, 0))
    assert told.value.errno == errno.ENODEV
    assert number(1, 2) == rtnetlink.attribute(1, b"\2\0\0\0")
