"""What the agent's preflight says, as lines for a person."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from lab import fitness


def answering(stdout: str, stderr: str = "", status: int = 1) -> fitness.Run:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, status, stdout, stderr)

    return run


def row(state: str, detail: str, todo: str = "") -> dict[str, str]:
    return {"check": "x", "state": state, "detail": detail, "todo": todo}


def test_only_what_fails_is_told_and_what_to_do() -> None:
    rows = [row("ok", "kernel 6.18"), row("warn", "slow", "hurry"), row("fail", "no bcc", "install it")]
    assert fitness.faults(answering(json.dumps(rows))) == ["no bcc: install it"]


def test_a_fit_machine_has_none() -> None:
    assert fitness.faults(answering(json.dumps([row("ok", "all")]), status=0)) == []


def test_a_preflight_that_breaks_is_a_fault() -> None:
    (told,) = fitness.faults(answering("", "Traceback\nModuleNotFoundError: No module named 'agent'"))
    assert "No module named 'agent'" in told
    assert "doctor" in told


def test_a_preflight_that_hangs_is_a_fault() -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    (told,) = fitness.faults(run)
    assert "did not end" in told
