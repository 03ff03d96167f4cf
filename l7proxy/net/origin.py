"""Where an accepted connection comes from: the kernel's redirect record, looked up by the addresses accept() shows.

The agent hands over a descriptor of the map; reading it takes one bpf(2) call, made here by ctypes, so the proxy needs
neither bcc nor libbpf. No record means that the connection did not come by way of the datapath.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from ipaddress import IPv4Address, ip_address
from typing import Protocol

from l7proxy.core.facts import ConnectionFacts
from mesh.layouts import REDIRECT_EGRESS, REDIRECT_INGRESS, RedirectKey, RedirectRecord

Endpoint = tuple[str, int]

_BPF_MAP_LOOKUP_ELEM = 1
# The system call has no wrapper in the C library; its number belongs to the machine.
_BPF_SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}


class Origins(Protocol):
    """Answers what is known of a connection; None: nothing, so it must be refused."""

    def find(self, peer: Endpoint, local: Endpoint) -> ConnectionFacts | None: ...


class _LookupAttr(ctypes.Structure):
    """The part of `union bpf_attr` that BPF_MAP_LOOKUP_ELEM reads."""

    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class RedirectMap:
    """The redirect map behind a descriptor, which this object owns."""

    def __init__(self, descriptor: int) -> None:
        machine = platform.machine()
        if machine not in _BPF_SYSCALL:
            raise OSError(errno.ENOSYS, f"no bpf(2) number is known for {machine}: add it to l7proxy/net/origin.py")
        self._number = _BPF_SYSCALL[machine]
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = descriptor
        self._key = RedirectKey()
        self._record = RedirectRecord()
        self._attr = _LookupAttr(
            map_fd=descriptor, key=ctypes.addressof(self._key), value=ctypes.addressof(self._record)
        )

    def close(self) -> None:
        os.close(self._fd)

    def find(self, peer: Endpoint, local: Endpoint) -> ConnectionFacts | None:
        key, record = self._key, self._record
        key.saddr[:] = packed(peer[0])
        key.daddr[:] = packed(local[0])
        key.sport, key.dport = peer[1], local[1]
        if self._libc.syscall(self._number, _BPF_MAP_LOOKUP_ELEM, ctypes.byref(self._attr), ctypes.sizeof(self._attr)):
            number = ctypes.get_errno()
            if number == errno.ENOENT:
                return None
            raise OSError(number, f"reading the redirect map: {os.strerror(number)}")
        return ConnectionFacts(
            source_ip=peer[0],
            source_port=peer[1],
            destination_ip=local[0],
            destination_port=local[1],
            source_identity=record.src_identity,
            destination_identity=record.dst_identity,
            source_endpoint=record.src_endpoint,
            destination_endpoint=record.dst_endpoint,
            egress=bool(record.flags & REDIRECT_EGRESS),
            ingress=bool(record.flags & REDIRECT_INGRESS),
            service=record.service,
        )


def packed(address: str) -> bytes:
    """16 bytes as in every map: IPv4 is written v4-mapped."""
    parsed = ip_address(address)
    return b"\0" * 10 + b"\xff\xff" + parsed.packed if isinstance(parsed, IPv4Address) else parsed.packed


def plain(name: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
    """What getpeername and getsockname say, without scope and v4-mapping."""
    host = name[0].partition("%")[0]
    if host.startswith("::ffff:") and "." in host:
        host = host[7:]
    return host, name[1]
