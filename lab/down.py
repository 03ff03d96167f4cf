"""`lab down`: remove everything of a lab, however it came to be left. Idempotent, and needs no living supervisor.

It goes by names alone (`lab.names`): processes by the lab's cgroup, then network namespaces (and with them links,
routes and rules), pins, cgroups, the run directory. Nothing is taken from what the lab wrote about itself.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from lab import cgroups, kernel, netns
from lab.names import BPFFS_ROOT, HEADER_CACHE, NETNS_ROOT, RUN_ROOT, LabNames

_DIE_WITHIN_S = 60.0


class StillThere(RuntimeError):
    """Something could not be removed."""


def down(names: LabNames) -> list[str]:
    """Remove; says what there was. Raises StillThere with what would not go."""
    removed: list[str] = []
    cgroup = _cgroup(names)
    if cgroup is not None:
        removed += _end_processes(cgroup)
    spaces = netns.of_lab(names)
    for name in spaces:
        netns.remove(name)
    if spaces:
        removed.append(f"{len(spaces)} network namespaces")
    removed += _remove_pins(names)
    if cgroup is not None:
        if not cgroups.remove(cgroup, wait_s=_DIE_WITHIN_S):
            raise StillThere(f"{cgroup}: processes {cgroups.processes(cgroup)} do not die")
        with suppress(OSError):  # other labs are in it
            cgroup.parent.rmdir()
    removed += _remove_run_dir(names)
    for empty in (NETNS_ROOT,):
        with suppress(OSError):  # not empty, not there, or someone's mount
            empty.rmdir()
    return removed


def _cgroup(names: LabNames) -> Path | None:
    try:
        path = cgroups.root() / names.cgroup
    except cgroups.NoCgroup2:
        return None
    return path if path.exists() else None


def _end_processes(cgroup: Path) -> list[str]:
    living = cgroups.processes(cgroup)
    if not living:
        return []
    cgroups.kill(cgroup)
    deadline = time.monotonic() + _DIE_WITHIN_S
    while cgroups.processes(cgroup):
        if time.monotonic() > deadline:
            raise StillThere(f"{cgroup}: processes {cgroups.processes(cgroup)} do not die")
        time.sleep(0.01)
    return [f"{len(living)} processes"]


def _remove_pins(names: LabNames) -> list[str]:
    if not BPFFS_ROOT.is_dir():
        return []
    owned = [path for path in BPFFS_ROOT.iterdir() if names.owns_instance(path.name)]
    for path in owned:
        shutil.rmtree(path)
    with suppress(OSError):
        BPFFS_ROOT.rmdir()
        shutil.rmtree(HEADER_CACHE, ignore_errors=True)  # with the machine's last instance, as the agent does
    return [f"pins of {len(owned)} nodes"] if owned else []


def _remove_run_dir(names: LabNames) -> list[str]:
    path = names.run_dir
    if not path.exists():
        return []
    while path.is_mount():
        kernel.unmount(str(path))
    shutil.rmtree(path)
    for parent in (path.parent, RUN_ROOT):
        with suppress(OSError):
            parent.rmdir()
    return [str(path)]
