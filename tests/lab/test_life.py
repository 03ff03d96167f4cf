"""Labs come and go without a trace: two side by side, and one that was interrupted while coming up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import ROOT, Cluster

SMALL = """
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: default}
spec: {containers: [{name: main, image: echo, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: default}
spec: {containers: [{name: main, image: echo, ports: [{containerPort: 80}]}]}
"""


def traces(name: str) -> list[str]:
    """Everything on this machine that carries the lab's name, and links of the root namespace."""
    found = []
    found += [f"namespace {netns.name}" for netns in Path("/run/netns").glob(f"*{name}*")]
    run = Path("/run/weft/labs") / name
    if run.exists():
        found.append(f"run dir {run}")
    pins = Path("/sys/fs/bpf/weft")
    found += [f"pin {path}" for path in (pins.glob(f"{name}_*") if pins.exists() else [])]
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if (Path(root) / "weft" / name).exists():
            found.append(f"cgroup {root}/weft/{name}")
    found += [
        f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if f"/{name}" in line.split()[1]
    ]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{name}_" in command or f"labs/{name}" in command or f"--name {name} " in command + " ":
            found.append(f"process {process.name}: {command}")
    return found


def root_state() -> tuple[str, ...]:
    """Links, rules and routes of the root namespace: a lab leaves them alone. How long a route is good counts down."""
    return tuple(
        re.sub(r" expires \S+", "", subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for command in (
            ["ip", "-o", "link"],
            ["ip", "rule"],
            ["ip", "-6", "rule"],
            ["ip", "route", "show", "table", "all"],
        )
    )


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_two_labs_side_by_side_leave_nothing(manifest: Path) -> None:
    before = root_state()
    labs = [Cluster("test-left"), Cluster("test-right")]
    try:
        for lab in labs:
            lab.up(manifest)
        for lab in labs:
            (answer,) = lab.probe("default/one", "reach", f'[["tcp", "{lab.address("default/two")}", 80]]')
            assert answer[3] == "ok"
        assert root_state() == before
    finally:
        for lab in labs:
            lab.down()
    assert [traces(lab.name) for lab in labs] == [[], []]
    assert root_state() == before


PHASES = {
    "network": "the bridge and the world stand, the controller starts",
    "controller": "the controller runs and is given the objects",
    "manifests": "nodes are wired, agents and proxies start",
    "agent": "a node enforces, its pods start",
    "pods": "a pod runs",
}
"""The step that `lab up` has told last -> what goes on from there."""


@pytest.mark.parametrize("step", PHASES)
def test_interrupted_up_then_down_leaves_nothing(manifest: Path, step: str) -> None:
    lab = Cluster(f"test-cut-{step}")
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "lab", "up", "--name", lab.name, str(manifest)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            told = any(step in line.split() for line in process.stdout)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    lab.down()
    assert told, f"lab up never said {step}"
    assert traces(lab.name) == []


def test_down_of_what_is_not_there_is_no_error() -> None:
    Cluster("test-never-was").down()
