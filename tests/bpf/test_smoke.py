"""Real packets through real interfaces: `smoke.py`, with the veths' checksum offload on and off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SMOKE = Path(__file__).with_name("smoke.py")


@pytest.mark.parametrize("options", [[], ["--no-offload"]], ids=["offload", "no-offload"])
def test_two_pods_a_node_and_the_world(options: list[str]) -> None:
    done = subprocess.run([sys.executable, str(SMOKE), *options], capture_output=True, text=True, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert done.returncode == 0, "\n".join([*failed, done.stderr[-2000:]])
    assert done.stdout.count("\nok ") > 40
