"""The request is the one that `ss --kill` makes, byte by byte (linux/inet_diag.h)."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

import pytest

from agent.datapath import sockdestroy


def test_the_request_is_laid_out_as_the_kernel_wants_it() -> None:
    raw = sockdestroy.request(socket.AF_INET, 6, b"\x0a\0\0\1", 2000, b"\x0a\0\0\2", 80)
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", raw)
    assert (length, len(raw), kind, flags) == (72, 72, 21, 5)
    family, protocol, _, _, states = struct.unpack_from("=BBBBI", raw, 16)
    assert (family, protocol, states) == (socket.AF_INET, 6, 0xFFFFFFFF)
    assert struct.unpack_from(">HH", raw, 24) == (2000, 80)
    assert raw[28:32] == b"\x0a\0\0\1"
    assert raw[44:48] == b"\x0a\0\0\2"
    assert raw[64:72] == b"\xff" * 8


def test_a_namespace_that_is_gone_is_named() -> None:
    end = ip_address("10.0.0.1")
    with pytest.raises(sockdestroy.SocketDestroyError, match="/run/netns/never-was"):
        sockdestroy.destroy("/run/netns/never-was", 6, end, 1, end, 2)
