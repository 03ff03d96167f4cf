"""`lab up`: check the manifests, make the run directory, start the supervisor, show its progress until all is in force.

The supervisor is put into the lab's cgroup before it does anything, so `down` finds whatever it started, even if this
process is killed at any moment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lab import cgroups, fitness, kernel, manifests, netns, progress
from lab.down import StillThere, down
from lab.names import LabNames
from lab.processes import SOURCE_ROOT, last_lines, python_environment
from mesh.objects import documents, references
from mesh.objects.errors import ObjectsRefused
from mesh.objects.kinds import Object

FAILED, REFUSED, INTERRUPTED = 1, 4, 130


def up(names: LabNames, paths: Sequence[str], *, mode: str, workers: int) -> int:
    """The exit status."""
    try:
        files = manifests.read(paths)
    except manifests.CannotRead as error:
        print(error, file=sys.stderr)
        return REFUSED
    try:
        objects = _parse(files)
    except ObjectsRefused as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return REFUSED
    if os.geteuid() != 0:
        print("lab up needs root: it makes network namespaces and loads kernel programs", file=sys.stderr)
        return FAILED
    missing = fitness.faults()
    if missing:
        print(f"lab {names.lab} cannot be made, this machine lacks what weft needs:", file=sys.stderr)
        for text in missing:
            print(f"    {text}", file=sys.stderr)
        return FAILED
    try:
        if not _make_room(names):
            print(f"lab {names.lab} is up already: change it with `weft --lab {names.lab} apply -f PATH`, "
                  f"or remove it with `weft lab down --name {names.lab}`", file=sys.stderr)  # fmt: skip
            return FAILED
        added = manifests.additions(((item.kind, item.key) for item in objects), names.zone)
        names.manifests.write_text(json.dumps({"files": [*files, *added]}), encoding="utf-8")
        return _follow(names, mode, workers)
    except (OSError, cgroups.NoCgroup2) as error:
        print(f"lab {names.lab} cannot be made: {error}", file=sys.stderr)
        with suppress(OSError, StillThere):
            down(names)
        return FAILED


def _parse(files: Sequence[tuple[str, str]]) -> list[Object]:
    """All objects. Raises ObjectsRefused with every problem of every file."""
    found = documents.refuse_nothing(documents.read_all(files), [file for file, _ in files])
    objects = list(found.objects)
    problems, _ = references.check(objects)
    if problems:
        raise ObjectsRefused(tuple(problems))
    return objects


def _make_room(names: LabNames) -> bool:
    """The run directory on a tmpfs of its own (keys must not lie on disk). False: the lab runs."""
    if names.run_dir.exists() or netns.of_lab(names):
        if _supervised(names):
            return False
        print(f"lab {names.lab}: removing what an earlier run left", file=sys.stderr)
        down(names)
    names.run_dir.mkdir(parents=True, mode=0o700)
    kernel.mount("tmpfs", str(names.run_dir), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0700,size=1g")
    names.log("supervisor").parent.mkdir()
    return True


def _supervised(names: LabNames) -> bool:
    cgroup = cgroups.root() / names.supervisor_cgroup
    return cgroup.exists() and bool(cgroups.processes(cgroup))


def _follow(names: LabNames, mode: str, workers: int) -> int:
    """Start the supervisor and show its events."""
    cgroup = cgroups.make(names.supervisor_cgroup)
    place = {
        "cgroup": str(cgroup),
        "argv": [sys.executable, "-m", "lab", "supervise", "--name", names.lab, "--workers", str(workers)],
        "env": dict(python_environment()),
    }
    with names.log("supervisor").open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-S", "-m", "lab.enter", json.dumps(place)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env={"PYTHONPATH": str(SOURCE_ROOT), "PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
    assert daemon.stdout is not None
    last: progress.Event | None = None
    try:
        for line in daemon.stdout:
            last = progress.parse(line)
            print(progress.render(last, mode), flush=True)
    except KeyboardInterrupt:
        print(f"interrupted; `weft lab down --name {names.lab}` removes what there is", file=sys.stderr)
        return INTERRUPTED
    daemon.returncode = 0  # it is meant to outlive this process: no warning about a child not waited for
    if last is None or last.step != "up":
        return _died(names.log("supervisor"))
    if last.exit_status == REFUSED:
        down(names)
    elif last.exit_status:
        print(f"the lab is left as it is; look into {names.run_dir}/logs, then: weft lab down --name {names.lab}",
              file=sys.stderr)  # fmt: skip
    return last.exit_status


def _died(log: Path) -> int:
    print(f"the lab's supervisor has died; the end of {log}:", file=sys.stderr)
    for line in last_lines(log, 15):
        print(f"    {line}", file=sys.stderr)
    return FAILED
