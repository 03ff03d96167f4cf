"""Starts weft's other programs with the interpreter that runs this one, from the same place.

`python -m lab` looks into the working directory first, so a folder of the user's that is called `lab` or `agent` would
be run instead: -P forbids that, unless this command itself was found in the working directory (a checkout).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent


def command_line(module: str, arguments: Sequence[str]) -> list[str]:
    in_checkout = Path.cwd() == ROOT
    return [sys.executable, *([] if in_checkout else ["-P"]), "-m", module, *arguments]


def become(module: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process: streams, signals and the exit status are then the program's own."""
    sys.stdout.flush()
    sys.stderr.flush()
    line = command_line(module, arguments)
    os.execv(line[0], line)


def run(module: str, arguments: Sequence[str], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run to its end and keep what it printed. subprocess.TimeoutExpired after `timeout_s`."""
    return subprocess.run(
        command_line(module, arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


def run_aloud(module: str, arguments: Sequence[str]) -> int:
    """Run to its end with our streams; its exit status."""
    sys.stdout.flush()
    return subprocess.run(command_line(module, arguments), check=False).returncode
