"""What must be asked of the machine about a pod's attachment: interface numbers, namespace cookies, own addresses."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
import threading
from ipaddress import ip_address
from pathlib import Path

from agent.errors import EndpointRefused
from mesh.model import Address

_SO_NETNS_COOKIE = 71
_CLONE_NEWNET = 0x40000000


def interfaces() -> dict[int, str]:
    """ifindex -> name, in this process's namespace."""
    return dict(socket.if_nameindex())


def ifindex_of(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise EndpointRefused(f"interface {name!r} does not exist in the node's network namespace") from error


def interface_exists(ifindex: int) -> bool:
    try:
        socket.if_indextoname(ifindex)
    except OSError:
        return False
    return True


def _cookie_here() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        raw = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
    return int(struct.unpack("=Q", raw)[0])


def netns_cookie(path: str) -> int:
    """The kernel's number of a network namespace. Enters it in a thread of its own, which ends with the answer."""
    answer: list[int] = []
    failure: list[OSError] = []

    def ask() -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code))
            finally:
                os.close(descriptor)
            answer.append(_cookie_here())
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=ask, name="netns-cookie")
    thread.start()
    thread.join()
    if failure:
        raise EndpointRefused(f"network namespace {path!r} cannot be entered: {failure[0].strerror}") from failure[0]
    return answer[0]


async def cookie_of(path: str) -> int:
    return await asyncio.to_thread(netns_cookie, path)


def node_addresses(proc: Path = Path("/proc/net")) -> frozenset[Address]:
    """The node's own addresses but for loopback and link-local ones, from the kernel's tables."""
    return frozenset(
        address
        for address in (*_ipv4_local(proc / "fib_trie"), *_ipv6_local(proc / "if_inet6"))
        if not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)
    )


def _ipv4_local(path: Path) -> list[Address]:
    """fib_trie shows each leaf and then its routes; `/32 host LOCAL` is an address of ours."""
    found: list[Address] = []
    leaf = ""
    for text in _lines(path):
        words = text.split()
        if len(words) == 2 and words[0] == "|--":
            leaf = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"] and leaf:
            found.append(ip_address(leaf))
    return found


def _ipv6_local(path: Path) -> list[Address]:
    return [ip_address(bytes.fromhex(text.split()[0])) for text in _lines(path) if text.strip()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
