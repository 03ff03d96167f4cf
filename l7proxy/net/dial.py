"""Opening upstream connections that keep the client's address, and closing sockets so that the peer notices."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from typing import Protocol

# Linux constants that the socket module leaves out or has under some versions only.
_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75
_IP_BIND_ADDRESS_NO_PORT = 24
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Dialer(Protocol):
    """Makes a connected, non-blocking socket. OSError where that fails."""

    async def dial(self, source_ip: str, destination_ip: str, port: int) -> socket.socket: ...


class TransparentDialer:
    """Binds the client's own address (TPROXY) and marks the socket, so that the datapath knows its packets."""

    def __init__(self, mark: int) -> None:
        self._mark = mark

    async def dial(self, source_ip: str, destination_ip: str, port: int) -> socket.socket:
        six = ":" in destination_ip
        made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            if six:
                made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self._mark)
            # The port is chosen at connect(), by the whole tuple: not by the address alone, which would end at 28,000.
            made.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.bind((source_ip, 0))
            await asyncio.get_running_loop().sock_connect(made, (destination_ip, port))
        except BaseException:
            made.close()
            raise
        return made


def reset_on_close(made: socket.socket) -> None:
    """close() will send RST. An orderly end would tell the peer that all is well."""
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    except OSError as problem:
        if problem.errno not in (errno.EBADF, errno.EINVAL, errno.ENOTCONN):
            raise
