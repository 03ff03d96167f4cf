"""The packet that is run through the kernel programs is a valid one."""

from __future__ import annotations

import struct

from benchmarks.lookup import SYN, tcp_packet


def folded(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_both_checksums_are_right() -> None:
    packet = tcp_packet("02:00:00:00:00:02", "10.77.1.2", "10.77.2.2", 40000, 8080, SYN)
    header, tcp = packet[14:34], packet[34:]
    pseudo = header[12:20] + struct.pack("!BBH", 0, 6, len(tcp))
    assert folded(header) == 0xFFFF
    assert folded(pseudo + tcp) == 0xFFFF
    assert struct.unpack("!HH", tcp[:4]) == (40000, 8080)
