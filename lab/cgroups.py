"""Version 2 cgroups of a lab: made per pod and per program, and the handle by which everything is killed at the end.

Every process of a lab is a descendant of `weft/LAB`, so one write to `cgroup.kill` ends them all, whatever they
forked and however far `up` came. Called by the supervisor, by `lab.enter` (join only) and by `lab.down`.
"""

from __future__ import annotations

import time
from pathlib import Path


class NoCgroup2(RuntimeError):
    """There is no version 2 hierarchy."""


def find_root(mounts: str) -> Path:
    """The version 2 mount, from the text of /proc/mounts; the plain /sys/fs/cgroup where it is one."""
    found = [fields[1] for line in mounts.splitlines() if len(fields := line.split()) > 2 and fields[2] == "cgroup2"]
    if not found:
        raise NoCgroup2("no cgroup v2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
    preferred = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    return Path(next((path for path in preferred if path in found), found[0]))


def root() -> Path:
    return find_root(Path("/proc/mounts").read_text(encoding="utf-8"))


def make(relative: str) -> Path:
    path = root() / relative
    path.mkdir(parents=True, exist_ok=True)
    return path


def processes(path: Path) -> tuple[int, ...]:
    """Of this cgroup and of all below it."""
    found: list[int] = []
    for procs in (path / "cgroup.procs", *path.rglob("cgroup.procs")):
        try:
            found += [int(line) for line in procs.read_text(encoding="ascii").split()]
        except OSError:  # removed meanwhile, or a threaded cgroup
            continue
    return tuple(dict.fromkeys(found))


def kill(path: Path) -> None:
    """SIGKILL to everything in the subtree, forks included."""
    try:
        (path / "cgroup.kill").write_text("1", encoding="ascii")
    except FileNotFoundError:
        return


def remove(path: Path, *, wait_s: float = 5.0) -> bool:
    """Remove the subtree once its processes are gone. False: something in it still lives."""
    deadline = time.monotonic() + wait_s
    while path.exists():
        for below in sorted((p for p in path.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts)):
            _rmdir(below)
        if _rmdir(path):
            break
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # EBUSY: a process has not finished dying
        return False
    return True
