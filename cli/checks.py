"""What `weft doctor` makes of the facts of this machine. Pure: facts in, one line each out.

The agent has checks of its own for its kernel programs; `cli.commands.doctor` runs them as a process and adds them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum

from cli.document import Json, rows, text
from cli.grid import hanging, paint

OLDEST_KERNEL = (6, 1)
LOW_DISK_BYTES = 200 * 1024 * 1024
SCARCE_DISK_BYTES = 1024 * 1024 * 1024


class State(Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, and what to do about it."""

    check: str
    state: State
    detail: str
    todo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What `cli.facts` found on this machine."""

    user_id: int
    kernel: str
    architecture: str
    cgroup2_mounts: tuple[str, ...]
    bpffs_mounts: tuple[str, ...]
    filesystems: tuple[str, ...]
    """Types that the kernel can mount."""
    bpf_error: str | None
    """Why the bpf() system call does not work; None where it does."""
    bcc: str | None
    """Why this interpreter cannot import bcc; None where it can."""
    interpreter: str
    libbpf: str | None
    uapi_headers: str | None
    """The path of linux/bpf.h, where the C library's headers are there."""
    inet_diag: str | None
    """Why sockets cannot be listed and destroyed through netlink; None where they can."""
    netns_error: str | None
    """Why a network namespace cannot be made; None where it can."""
    disk_path: str
    disk_free_bytes: int


def version(kernel: str) -> tuple[int, int]:
    """The first two numbers of `uname -r`; (0, 0) where it has none."""
    found = re.match(r"(\d+)\.(\d+)", kernel)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def machine(facts: Facts) -> list[Check]:
    """Every check of the machine itself."""
    return [
        _root(facts),
        _kernel(facts),
        _bpf(facts),
        _cgroup(facts),
        _bpffs(facts),
        _bcc(facts),
        _libbpf(facts),
        _headers(facts),
        _inet_diag(facts),
        _netns(facts),
        _disk(facts),
    ]


def _root(facts: Facts) -> Check:
    if facts.user_id == 0:
        return Check("root", State.OK, "runs as root")
    return Check("root", State.FAIL, f"runs as user {facts.user_id}", "run as root: agent and lab load kernel programs")


def _kernel(facts: Facts) -> Check:
    oldest = ".".join(map(str, OLDEST_KERNEL))
    if version(facts.kernel) >= OLDEST_KERNEL:
        return Check("kernel", State.OK, f"{facts.kernel} ({facts.architecture})")
    return Check("kernel", State.FAIL, f"{facts.kernel} is older than {oldest}", f"boot Linux {oldest} or newer")


def _bpf(facts: Facts) -> Check:
    if facts.bpf_error is None:
        return Check("bpf", State.OK, "the bpf() system call works")
    return Check(
        "bpf",
        State.FAIL,
        f"the bpf() system call fails: {facts.bpf_error}",
        "give CAP_BPF and CAP_NET_ADMIN, or in a container run it privileged",
    )


def _cgroup(facts: Facts) -> Check:
    if facts.cgroup2_mounts:
        return Check("cgroup2", State.OK, f"cgroup v2 is mounted at {facts.cgroup2_mounts[0]}")
    return Check(
        "cgroup2",
        State.FAIL,
        "cgroup v2 is not mounted",
        "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
    )


def _bpffs(facts: Facts) -> Check:
    if facts.bpffs_mounts:
        return Check("bpffs", State.OK, f"mounted at {facts.bpffs_mounts[0]}")
    if "bpf" in facts.filesystems:
        return Check(
            "bpffs", State.WARN, "not mounted; the agent mounts it when it starts", "mount -t bpf bpf /sys/fs/bpf"
        )
    return Check("bpffs", State.FAIL, "this kernel has no bpf file system", "boot a kernel with CONFIG_BPF_SYSCALL=y")


def _bcc(facts: Facts) -> Check:
    if facts.bcc is None:
        return Check("bcc", State.OK, f"{facts.interpreter} imports it")
    return Check(
        "bcc",
        State.FAIL,
        f"{facts.interpreter} cannot import it: {facts.bcc}",
        "apt-get install python3-bpfcc, and make the virtual environment with "
        "/usr/bin/python3 -m venv --system-site-packages (the package bcc of PyPI is another program)",
    )


def _libbpf(facts: Facts) -> Check:
    if facts.libbpf is not None:
        return Check("libbpf", State.OK, facts.libbpf)
    return Check("libbpf", State.FAIL, "libbpf.so.1 is not there", "apt-get install libbpf1")


def _headers(facts: Facts) -> Check:
    if facts.uapi_headers is not None:
        return Check("headers", State.OK, f"{facts.uapi_headers} (no kernel source tree is needed)")
    return Check("headers", State.FAIL, "linux/bpf.h is not there", "apt-get install linux-libc-dev")


def _inet_diag(facts: Facts) -> Check:
    if facts.inet_diag is None:
        return Check("sock-destroy", State.OK, "sockets can be listed and destroyed")
    return Check(
        "sock-destroy",
        State.WARN,
        f"{facts.inet_diag}: idle connections that a new policy denies end at their next packet only",
        "modprobe tcp_diag udp_diag, on a kernel with CONFIG_INET_DIAG_DESTROY=y",
    )


def _netns(facts: Facts) -> Check:
    if facts.netns_error is None:
        return Check("network namespaces", State.OK, "can be made")
    return Check(
        "network namespaces",
        State.FAIL,
        f"cannot be made: {facts.netns_error}",
        "give CAP_SYS_ADMIN, and boot a kernel with CONFIG_NET_NS=y",
    )


def _disk(facts: Facts) -> Check:
    free = f"{facts.disk_free_bytes // 1024 // 1024} MiB free below {facts.disk_path}"
    if facts.disk_free_bytes < LOW_DISK_BYTES:
        return Check("disk space", State.FAIL, free, f"free at least {LOW_DISK_BYTES // 1024 // 1024} MiB")
    if facts.disk_free_bytes < SCARCE_DISK_BYTES:
        return Check("disk space", State.WARN, free, "logs of a long-running lab may fill it")
    return Check("disk space", State.OK, free)


def from_preflight(found: object) -> list[Check]:
    """Lines of the agent's own preflight; a line that cannot be read is a failure, not a pass."""
    checks = []
    for row in rows({"rows": found}, "rows"):
        try:
            state = State(text(row, "state"))
        except ValueError:
            state = State.FAIL
        checks.append(Check(text(row, "check", default="?"), state, text(row, "detail"), text(row, "todo")))
    return checks or [
        Check("agent", State.FAIL, "its preflight answered nothing", "run python -m agent.datapath.preflight --json")
    ]


def merged(own: Sequence[Check], agent: Sequence[Check]) -> list[Check]:
    """One line for each name. Where both looked, the worse one is shown: neither may hide the other's failure."""
    order = [State.OK, State.WARN, State.FAIL]
    found: dict[str, Check] = {}
    for check in (*own, *agent):
        name = re.sub(r"[^a-z0-9]", "", check.check.lower())
        if name not in found or order.index(check.state) > order.index(found[name].state):
            found[name] = check
    return list(found.values())


def worst(checks: Sequence[Check]) -> State:
    states = {check.state for check in checks}
    return next((state for state in (State.FAIL, State.WARN) if state in states), State.OK)


_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


def lines(checks: Sequence[Check], *, colour: bool, width: int | None = None) -> str:
    """`ok    kernel   6.18 (x86_64)`; what to do stands below. `width` is that of the terminal."""
    names = max((len(check.check) for check in checks), default=0)
    shown = []
    for check in checks:
        state = f"{check.state.value:<4}"
        painted = paint(state, _COLOURS[check.state]) if colour else state
        first, *others = hanging(f"{state}  {check.check:<{names}}  {check.detail}", width, names + 8)
        shown += [painted + first.removeprefix(state), *others]
        if check.todo and check.state is not State.OK:
            shown += hanging(f"{'':<4}  {'':<{names}}  -> {check.todo}", width, names + 11)
    return "\n".join(shown)


def documents(checks: Sequence[Check]) -> list[Json]:
    return [{**asdict(check), "state": check.state.value} for check in checks]
