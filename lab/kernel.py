"""System calls that Python 3.11 has no names for: namespaces and mounts, by way of the C library.

Used by `lab.enter` (to put a process into a pod), `lab.netns` (to make namespaces) and `lab.down`. Every function
raises OSError with the path in it. No policy here: who calls decides what may be changed.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWNET = 0x4000_0000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 1 << 19
MS_NOSUID = 2
MS_NODEV = 4
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, subject: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), subject)


def setns(path: str, kind: int) -> None:
    """Move the calling thread into the namespace behind `path`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, kind), path)
    finally:
        os.close(descriptor)


def unshare(kinds: int) -> None:
    """Give the calling thread namespaces of its own."""
    _check(_libc.unshare(kinds), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()), target)


def bind(source: str, target: str) -> None:
    """Show `source` at `target` in this mount namespace."""
    mount(source, target, "none", MS_BIND)


def unmount(target: str) -> None:
    """Detach; whoever still has a file open under it keeps that file only."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), target)


def sethostname(name: str) -> None:
    raw = name.encode()
    _check(_libc.sethostname(raw, len(raw)), "sethostname")
