"""Looks at this machine for `weft doctor`. Effects only; what the facts mean is said in `cli.checks`.

Nothing is changed: the network namespace is made in a process that ends at once.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

from cli.checks import Facts

RUN = Path("/run")
UAPI_HEADERS = (Path("/usr/include/linux/bpf.h"), Path("/usr/local/include/linux/bpf.h"))
_SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
_BPF_PROG_GET_NEXT_ID = 11
_NETLINK_SOCK_DIAG, _SOCK_DESTROY = 4, 21
_NLM_F_REQUEST, _NLM_F_ACK, _NLMSG_ERROR = 0x1, 0x4, 2
_CLONE_NEWNET = 0x4000_0000


def look() -> Facts:
    mounts = _mounts()
    disk = RUN if RUN.exists() else Path("/")
    return Facts(
        user_id=os.geteuid(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cgroup2_mounts=tuple(where for kind, where in mounts if kind == "cgroup2"),
        bpffs_mounts=tuple(where for kind, where in mounts if kind == "bpf"),
        filesystems=_filesystems(),
        bpf_error=_bpf_error(),
        bcc=_bcc_error(),
        interpreter=sys.executable,
        libbpf=_libbpf(),
        uapi_headers=next((str(path) for path in UAPI_HEADERS if path.exists()), None),
        inet_diag=_inet_diag_error(),
        netns_error=_netns_error(),
        disk_path=str(disk),
        disk_free_bytes=shutil.disk_usage(disk).free,
    )


def _mounts() -> list[tuple[str, str]]:
    """(type, mount point)."""
    fields = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [(line[2], line[1]) for line in fields if len(line) > 2]


def _filesystems() -> tuple[str, ...]:
    return tuple(line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines() if line.split())


def _bpf_error() -> str | None:
    """Ask for the first program's number: needs the system call and the right to use it, and loads nothing."""
    number = _SYS_BPF.get(platform.machine())
    if number is None:
        return None  # an architecture whose number is not known here: the agent's own check decides
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(64)
    result = libc.syscall(number, _BPF_PROG_GET_NEXT_ID, attributes, len(attributes))
    error = ctypes.get_errno() if result < 0 else 0
    return None if error in (0, errno.ENOENT) else os.strerror(error)  # none is loaded: fine


def _bcc_error() -> str | None:
    """In a process of its own: the import costs 73 MB."""
    if importlib.util.find_spec("bcc") is None:
        return "no module named bcc"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", "from bcc import BPF; BPF.SCHED_CLS"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        return "the import did not end within 60 s"
    return None if tried.returncode == 0 else (tried.stderr.strip().splitlines() or ["it ended without a word"])[-1]


def _libbpf() -> str | None:
    try:
        library = ctypes.CDLL("libbpf.so.1")
    except OSError:
        return None
    library.libbpf_version_string.restype = ctypes.c_char_p
    found = library.libbpf_version_string()
    return f"libbpf.so.1, {found.decode()}" if isinstance(found, bytes) else "libbpf.so.1"


def _inet_diag_error() -> str | None:
    """Destroy a socket that does not exist: a kernel that can do it answers ENOENT, one that cannot EOPNOTSUPP."""
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFF_FFFF) + bytes(40) + b"\xff" * 8
    header = struct.pack("=IHHII", 16 + len(request), _SOCK_DESTROY, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as link:
            link.settimeout(5)
            link.send(header + request)
            answer = link.recv(65536)
    except OSError as error:
        return f"NETLINK_SOCK_DIAG: {error.strerror or error}"
    if struct.unpack_from("=IH", answer)[1] != _NLMSG_ERROR:
        return "SOCK_DESTROY: the kernel's answer cannot be read"
    code = -struct.unpack_from("=i", answer, 16)[0]
    return None if code in (0, errno.ENOENT) else f"SOCK_DESTROY: {os.strerror(code)}"


def _netns_error() -> str | None:
    """Unshare in a child that ends at once."""
    program = (
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); "
        f"print(os.strerror(ctypes.get_errno()) if libc.unshare({_CLONE_NEWNET}) else '')"
    )
    tried = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    return tried.stdout.strip() or None
