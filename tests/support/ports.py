"""Ports of loopback for programs that must be told theirs before they bind it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def free_port(count: int = 1) -> int:
    """The first of `count` neighbouring ports that nobody has, on 127.0.0.1 and on ::1.

    Below those that the kernel gives to whoever asks for any: none of them becomes somebody's own end of a connection
    between this look and the bind.
    """
    lowest = int(RANGE.read_text().split()[0])
    if lowest < 16_384:
        lowest = 65_536  # a kernel that gives away nearly all of them: no place is better than another
    highest = lowest - os.getpid() % 8192  # two runs of the tests at a time do not look at the same ones
    for first in range(highest - count, 1024, -count):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise AssertionError(f"no free ports on loopback below {lowest}")


def _is_free(port: int) -> bool:
    for family, host in LOOPBACK:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen()
            except OSError:
                return False
    return True
