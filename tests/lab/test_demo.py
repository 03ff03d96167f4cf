"""The first command that a newcomer runs."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from tests.support.cluster import ROOT, Cluster

LAB = "test-demo"


def recipe(*variables: str) -> list[str]:
    """What `make demo` would run. These tests may be run by make, whose variables would tell another one what to do."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "KEEP"}
    said = subprocess.run(
        ["make", "--no-print-directory", "-n", "demo", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=alone,
    )
    return shlex.split(said.stdout.splitlines()[-1])


def test_it_ends_by_itself_or_leaves_the_lab_up() -> None:
    assert recipe()[1:] == ["examples/demo.py"]
    assert recipe("KEEP=0")[1:] == ["examples/demo.py"]
    assert recipe("KEEP=1")[1:] == ["examples/demo.py", "--keep"]


def test_every_call_fares_as_its_manifest_says_and_nothing_is_wider_than_a_terminal() -> None:
    if os.geteuid() != 0:
        pytest.fail("the demo needs root: network namespaces, cgroups and bpf(); run `make test` as root")
    lab = Cluster(LAB)
    try:
        done = subprocess.run(
            [*recipe("KEEP=1"), "--name", LAB],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
            env={**os.environ, "COLUMNS": "80"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for told in ("ALLOWED", "DENIED AT L4", "DENIED AT L7", f"weft --lab {LAB} observe"):
            assert told in done.stdout, done.stdout
        prose = [line for line in done.stdout.splitlines() if f"--lab {LAB}" not in line]
        assert [line for line in prose if len(line) > 80] == []
        assert lab.json("lab", "status")["pods"]
    finally:
        lab.down()
