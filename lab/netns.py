"""Named network namespaces: made, found and removed without a program started for it.

`inside` runs a function with the calling thread moved into a namespace; sockets opened there stay there. Only
`lab.net`'s own thread and `lab.down` call these: moving the thread of an event loop would move all it opens.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from lab import kernel
from lab.names import NETNS_ROOT, LabNames

T = TypeVar("T")


def _own() -> str:
    return f"/proc/self/task/{threading.get_native_id()}/ns/net"


@contextmanager
def inside(name: str) -> Iterator[None]:
    """The calling thread is in namespace `name` until the block ends."""
    home = os.open(_own(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.setns(LabNames.netns_path(name), kernel.CLONE_NEWNET)
        try:
            yield
        finally:
            kernel.setns(f"/proc/self/fd/{home}", kernel.CLONE_NEWNET)
    finally:
        os.close(home)


def in_thread(task: Callable[[], T]) -> T:
    """Run in a thread that ends afterwards, for callers whose own thread must not move."""
    answers: list[T] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            answers.append(task())
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=run, name="lab-netns")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return answers[0]


def create(name: str, sysctls: dict[str, str]) -> None:
    """A new namespace under /run/netns with its loopback down and these settings (dots or slashes) made."""
    NETNS_ROOT.mkdir(parents=True, exist_ok=True)
    path = LabNames.netns_path(name)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
    home = os.open(_own(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.unshare(kernel.CLONE_NEWNET)
        try:
            kernel.bind(_own(), path)
            for key, value in sysctls.items():
                (Path("/proc/sys/net") / key).write_text(value, encoding="ascii")
        finally:
            kernel.setns(f"/proc/self/fd/{home}", kernel.CLONE_NEWNET)
    finally:
        os.close(home)


def remove(name: str) -> None:
    """Forget the name; the kernel drops the namespace with its last process. Absent is fine."""
    path = LabNames.netns_path(name)
    try:
        kernel.unmount(path)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):  # EINVAL: the file is there, the mount was never made
            raise
    with suppress(FileNotFoundError):
        os.unlink(path)


def of_lab(names: LabNames) -> list[str]:
    try:
        present = os.listdir(NETNS_ROOT)
    except FileNotFoundError:
        return []
    return sorted(name for name in present if names.owns_netns(name))
