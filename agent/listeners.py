"""The proxy's two listening sockets, made and held by the agent so that they outlive every proxy.

One on 127.0.0.1 and one on ::1 in the node's namespace, transparent, so that the kernel may hand them connections meant
for any address. No SO_REUSEPORT: before kernel 6.6 `bpf_sk_assign` refuses sockets that have it. After a crash of the
agent a running proxy still holds them, the port is still bound, and they come back over the proxy link.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass

from agent.errors import AgentError, ListenerTaken

BACKLOG = 4096
_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75
_LINGER_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Listeners:
    v4: socket.socket
    v6: socket.socket

    def descriptors(self) -> list[int]:
        return [self.v4.fileno(), self.v6.fileno()]

    def close(self) -> None:
        self.v4.close()
        self.v6.close()


def create(port: int) -> Listeners:
    """Bind both. ListenerTaken where somebody holds the port."""
    v4 = _listen(socket.AF_INET, "127.0.0.1", port)
    try:
        v6 = _listen(socket.AF_INET6, "::1", port)
    except AgentError:
        v4.close()
        raise
    return Listeners(v4, v6)


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ListenerTaken(
                f"port {port} on {host} is in use: by a proxy that runs, or by another program"
            ) from error
        raise AgentError(
            f"cannot listen on {host} port {port}: {error.strerror} (a transparent socket needs CAP_NET_ADMIN)"
        ) from error
    return listener


def adopt(descriptors: list[int], port: int) -> Listeners:
    """Take sockets that a proxy handed over. AgentError where they are not the two listeners of that port."""
    found = {family: descriptor for descriptor in descriptors if (family := _family(descriptor, port)) is not None}
    if len(descriptors) != 2 or len(found) != 2:
        close_all(descriptors)
        raise AgentError(f"the proxy handed over {len(descriptors)} files that are not the listeners of port {port}")
    v4, v6 = (socket.socket(fileno=found[family]) for family in (socket.AF_INET, socket.AF_INET6))
    for item in (v4, v6):
        item.setblocking(False)
    return Listeners(v4, v6)


def _family(descriptor: int, port: int) -> socket.AddressFamily | None:
    """Of a listener of that port; None for any other file."""
    try:
        item = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        internet = item.family in (socket.AF_INET, socket.AF_INET6) and item.type == socket.SOCK_STREAM
        listening = internet and item.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return item.family if listening and item.getsockname()[1] == port else None
    finally:
        item.detach()  # the caller's


def reset_queued(listeners: Listeners, most: int = BACKLOG) -> int:
    """Accept what waits for a proxy that does not come back, and reset it. Returns how many."""
    count = 0
    for listener in (listeners.v4, listeners.v6):
        while count < 2 * most:
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            connection.close()
            count += 1
    return count


def close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
