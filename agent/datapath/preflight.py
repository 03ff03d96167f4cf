"""What this machine has of what the datapath needs. Changes nothing but mounting a missing bpf file system.

`python -m agent.datapath.preflight [--json] [--bpffs PATH]` prints one line per check, for `weft doctor`;
the agent asks `refusal()` before it starts. A check that fails says what to do.
"""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.datapath import libbpf, sockdestroy, stubheaders
from agent.datapath.interface import DatapathError
from agent.datapath.kernel import mount_bpffs

OLDEST_KERNEL = (6, 1)
_SO_NETNS_COOKIE = 71
_IP_TRANSPARENT = 19
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_BPF": 39}


@dataclass(frozen=True, slots=True)
class Check:
    check: str
    state: str
    """ok, warn or fail."""
    detail: str
    todo: str = ""


def kernel(release: str) -> Check:
    """The oldest kernel that was tried is the oldest that is claimed."""
    found = re.match(r"(\d+)\.(\d+)", release)
    if found and (int(found[1]), int(found[2])) >= OLDEST_KERNEL:
        return Check("kernel", "ok", f"kernel {release}")
    wanted = ".".join(map(str, OLDEST_KERNEL))
    return Check("kernel", "fail", f"kernel {release} is older than {wanted}", f"boot a kernel from {wanted} up")


def capabilities(status: str, uid: int) -> Check:
    """`status` is the text of /proc/self/status."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    held = int(found[1], 16) if found else 0
    missing = [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]
    if uid == 0 and not missing:
        return Check("root", "ok", "runs as root with all capabilities that are needed")
    what = f"lacks {', '.join(missing)}" if missing else f"runs as user {uid}"
    return Check("root", "fail", what, "run as root, in a container with --privileged")


def cgroup2(mounts: str) -> Check:
    """`mounts` is the text of /proc/self/mounts."""
    found = [row.split()[1] for row in mounts.splitlines() if row.split()[2] == "cgroup2"]
    if found:
        return Check("cgroup2", "ok", f"cgroup v2 at {found[0]}")
    return Check("cgroup2", "fail", "cgroup v2 is not mounted", "mount -t cgroup2 none /sys/fs/cgroup/unified")


def bpffs(path: str) -> Check:
    try:
        mount_bpffs(path)
    except DatapathError as error:
        return Check("bpffs", "fail", str(error), f"mount -t bpf bpf {path}")
    return Check("bpffs", "ok", f"bpf file system at {path}")


def libraries() -> list[Check]:
    found = [Check("libbpf", "ok", "libbpf.so.1 is here")]
    if not libbpf.available():
        found = [Check("libbpf", "fail", "libbpf.so.1 cannot be loaded", "install libbpf1")]
    if importlib.util.find_spec("bcc") is None:
        todo = "install python3-bpfcc; make the virtual environment from Debian's python3 with --system-site-packages"
        found.append(Check("bcc", "fail", f"{sys.executable} cannot import bcc", todo))
    else:
        found.append(Check("bcc", "ok", "bcc is here"))
    if (stubheaders.USER_HEADERS / "linux" / "bpf.h").exists():
        found.append(Check("headers", "ok", "the C library's kernel headers are here"))
    else:
        found.append(Check("headers", "fail", "no linux/bpf.h in /usr/include", "install linux-libc-dev"))
    return found


def netns_cookie() -> Check:
    """How the socket hooks know a pod (since kernel 5.14)."""
    with socket.socket() as sock:
        try:
            sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError as error:
            return Check("netns-cookie", "fail", f"SO_NETNS_COOKIE: {error.strerror}", "boot a kernel from 6.1 up")
    return Check("netns-cookie", "ok", "network namespaces have cookies")


def transparent_sockets() -> Check:
    """How the proxy keeps the client's address."""
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
        except OSError as error:
            todo = "give CAP_NET_ADMIN" if error.errno == errno.EPERM else "boot a kernel with IP_TRANSPARENT"
            return Check("transparent", "fail", f"IP_TRANSPARENT: {error.strerror}", todo)
    return Check("transparent", "ok", "transparent sockets work")


def socket_destroy() -> Check:
    if sockdestroy.supported():
        return Check("sock-destroy", "ok", "idle connections can be closed when policy changes")
    detail = "CONFIG_INET_DIAG_DESTROY is not set: a denied connection that is idle ends with its next packet"
    return Check("sock-destroy", "warn", detail, "use a kernel with CONFIG_INET_DIAG_DESTROY to close it at once")


def checks(bpffs_path: str = "/sys/fs/bpf") -> list[Check]:
    """Every condition, met or not, in the order in which they matter."""
    found = [
        kernel(os.uname().release),
        capabilities(Path("/proc/self/status").read_text(encoding="ascii"), os.geteuid()),
        cgroup2(Path("/proc/self/mounts").read_text(encoding="utf-8")),
    ]
    asked: list[Callable[[], Check]] = [
        lambda: bpffs(bpffs_path),
        netns_cookie,
        transparent_sockets,
        socket_destroy,
    ]
    return [*found, *(ask() for ask in asked), *libraries()]


def refusal(bpffs_path: str = "/sys/fs/bpf") -> str:
    """Why the datapath cannot work here, as one sentence for each fault; empty if it can."""
    failed = [check for check in checks(bpffs_path) if check.state == "fail"]
    return "; ".join(f"{check.detail} ({check.todo})" for check in failed)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m agent.datapath.preflight", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bpffs", default="/sys/fs/bpf")
    options = parser.parse_args(arguments)
    found = checks(options.bpffs)
    if options.json:
        print(json.dumps([asdict(check) for check in found]))
    else:
        for check in found:
            print(f"{check.state:4} {check.check}: {check.detail}{f'; {check.todo}' if check.todo else ''}")
    return 1 if any(check.state == "fail" for check in found) else 0


if __name__ == "__main__":
    sys.exit(main())
