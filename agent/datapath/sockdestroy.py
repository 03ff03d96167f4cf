"""Closes one socket inside a pod's network namespace, as `ss --kill` does: NETLINK_SOCK_DIAG with SOCK_DESTROY.

For flows that policy no longer allows and that are idle, so that no packet will ever make the kernel ask again: both
the application's read and its next write then fail (ECONNABORTED), instead of hanging. Works on TCP and UDP. Only the
socket with exactly these two ends is touched.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading

from mesh.model import Address

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_SOCK_DESTROY = 21
_NLM_F_REQUEST = 1
_NLM_F_ACK = 4
_NLMSG_ERROR = 2
_CLONE_NEWNET = 0x40000000
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_MAPPED = bytes(10) + b"\xff\xff"
_TIMEOUT_S = 2.0
_HEADER = struct.Struct("=IHHII")


class SocketDestroyError(Exception):
    """The kernel cannot destroy sockets, or the namespace is gone."""


def destroy(netns_path: str, protocol: int, source: Address, sport: int, destination: Address, dport: int) -> bool:
    """Destroy the socket with this local (`source`) and remote end. False: there is none. Blocks for moments only.

    An IPv4 connection may belong to an IPv6 socket (v4-mapped); both are looked for.
    """
    outcome: list[bool | BaseException] = []

    def run() -> None:  # a thread of its own: setns() changes the thread, and it ends with it
        try:
            _enter(netns_path)
            outcome.append(_destroy_here(protocol, source, sport, destination, dport))
        except (OSError, SocketDestroyError) as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="sockdestroy")
    thread.start()
    thread.join()
    result = outcome[0]
    if isinstance(result, SocketDestroyError):
        raise result
    if isinstance(result, BaseException):
        raise SocketDestroyError(f"cannot destroy a socket in {netns_path}: {result}") from result
    return result


def _enter(netns_path: str) -> None:
    fd = os.open(netns_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns {netns_path}: {os.strerror(number)}")
    finally:
        os.close(fd)


def _destroy_here(protocol: int, source: Address, sport: int, destination: Address, dport: int) -> bool:
    forms: list[tuple[int, bytes, bytes]] = []
    if source.version == 4:
        forms.append((socket.AF_INET, source.packed, destination.packed))
        forms.append((socket.AF_INET6, _MAPPED + source.packed, _MAPPED + destination.packed))
    else:
        forms.append((socket.AF_INET6, source.packed, destination.packed))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(_TIMEOUT_S)
        link.bind((0, 0))
        for family, local, remote in forms:
            cookie = _find(link, family, protocol, local, sport, remote, dport)
            if cookie is not None:
                return _ask(link, request(family, protocol, local, sport, remote, dport, cookie=cookie))
    return False


def _find(
    link: socket.socket, family: int, protocol: int, local: bytes, sport: int, remote: bytes, dport: int
) -> bytes | None:
    """The cookie of the socket with exactly these two ends.

    The kernel's lookup is that of a packet: where the connection is gone it finds the listener, and for UDP the
    server's socket that serves everybody. Destroying those would take the service away.
    """
    ends = (local, sport, remote, dport)
    ways = [ends]
    if protocol == socket.IPPROTO_UDP:  # net/ipv4/udp_diag.c: swapped for historical reasons, when only asked
        ways.insert(0, (remote, dport, local, sport))
    for way in ways:
        link.send(request(family, protocol, *way, kind=_SOCK_DIAG_BY_FAMILY, flags=_NLM_F_REQUEST))
        answer = link.recv(8192)
        _, kind, _, _, _ = _HEADER.unpack_from(answer)
        if kind == _SOCK_DIAG_BY_FAMILY:
            found = _ends_of(answer)
            if found == (_plain(local), sport, _plain(remote), dport):
                return answer[_HEADER.size + 44 : _HEADER.size + 52]
    return None


def _ends_of(answer: bytes) -> tuple[bytes, int, bytes, int]:
    """Of struct inet_diag_msg: family, state, timer and retransmits, then a struct inet_diag_sockid."""
    family = answer[_HEADER.size]
    size = 4 if family == socket.AF_INET else 16
    sport, dport, local, remote = struct.unpack_from(">HH16s16s", answer, _HEADER.size + 4)
    return _plain(local[:size]), sport, _plain(remote[:size]), dport


def _plain(packed: bytes) -> bytes:
    return packed.removeprefix(_MAPPED) if len(packed) == 16 else packed


def request(
    family: int,
    protocol: int,
    source: bytes,
    sport: int,
    destination: bytes,
    dport: int,
    *,
    kind: int = _SOCK_DESTROY,
    flags: int = _NLM_F_REQUEST | _NLM_F_ACK,
    cookie: bytes = _NO_COOKIE,
) -> bytes:
    """struct inet_diag_req_v2 with a struct inet_diag_sockid, behind a netlink header (linux/inet_diag.h)."""
    ends = struct.pack(">HH", sport, dport) + source.ljust(16, b"\0") + destination.ljust(16, b"\0")
    identity = ends + struct.pack("=I", 0) + cookie
    body = struct.pack("=BBBBI", family, protocol, 0, 0, _ALL_STATES) + identity
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _ask(link: socket.socket, message: bytes) -> bool:
    link.send(message)
    answer = link.recv(8192)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind != _NLMSG_ERROR:
        return False
    (code,) = struct.unpack_from("=i", answer, _HEADER.size)
    if code in (0, -errno.ENOENT, -errno.ESTALE):
        return bool(code == 0)
    if code == -errno.EOPNOTSUPP:
        raise SocketDestroyError("this kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY is not set)")
    raise OSError(-code, os.strerror(-code))


def supported() -> bool:
    """Can this kernel destroy sockets? Asks for one that cannot exist."""
    nobody = socket.inet_aton("127.255.255.254")
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
            link.settimeout(_TIMEOUT_S)
            link.bind((0, 0))
            _ask(link, request(socket.AF_INET, socket.IPPROTO_TCP, nobody, 1, nobody, 1, cookie=bytes(8)))
    except (OSError, SocketDestroyError):
        return False
    return True
