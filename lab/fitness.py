"""Can this machine run a lab at all? Asked of the agent's own preflight, in a process, before `up` makes anything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from lab.processes import python_environment

_WITHIN_S = 60.0

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def faults(run: Run = subprocess.run) -> list[str]:
    """One line for each thing that is missing, with what to do. Empty: all is there."""
    command = [sys.executable, "-m", "agent.datapath.preflight", "--json"]
    try:
        done = run(
            command, cwd="/", env=dict(python_environment()), capture_output=True, text=True, timeout=_WITHIN_S,
            check=False,
        )  # fmt: skip
        return [
            f"{row['detail']}: {row['todo']}" if row["todo"] else str(row["detail"])
            for row in json.loads(done.stdout)
            if row["state"] == "fail"
        ]
    except subprocess.TimeoutExpired:
        return [f"the agent's preflight did not end within {_WITHIN_S:g} s: run weft doctor"]
    except (ValueError, KeyError, TypeError):
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        return [f"the agent's preflight cannot be run ({said}): is weft installed whole? weft doctor says more"]
