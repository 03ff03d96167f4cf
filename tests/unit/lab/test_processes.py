"""Processes: started in their place, watched, ended."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from lab.processes import Launch, Process, last_lines, plain_environment, python_environment
from tests.support.waiting import LONGEST_S
from tests.unit.lab.waiting import until


def launch(tmp_path: Path, *argv: str) -> Launch:
    """The cgroup is a plain directory here: what is written there is the process's number."""
    return Launch(argv=argv, log=tmp_path / "log", cgroup=tmp_path, env=plain_environment({"WHO": "me"}))


def test_output_goes_to_the_log_and_the_exit_status_is_kept(tmp_path: Path) -> None:
    process = Process(launch(tmp_path, "sh", "-c", "echo hello $WHO; echo oops >&2; exit 7"))
    assert asyncio.run(process.wait()) == 7
    assert process.exit_code == 7
    assert last_lines(tmp_path / "log") == ["hello me", "oops"]
    assert (tmp_path / "cgroup.procs").read_text() == str(process.pid)


def test_two_may_wait_for_the_same_end(tmp_path: Path) -> None:
    async def run() -> list[int]:
        process = Process(launch(tmp_path, "sh", "-c", "exit 3"))
        return await asyncio.gather(process.wait(), process.wait())

    assert asyncio.run(run()) == [3, 3]


def test_stopping_asks_first_and_then_insists(tmp_path: Path) -> None:
    async def run(script: str, grace_s: float) -> int | None:
        process = Process(launch(tmp_path, "sh", "-c", script))
        await until(lambda: "ready" in last_lines(tmp_path / "log"))
        await process.stop(grace_s)
        return process.exit_code

    assert asyncio.run(run("trap 'exit 5' TERM; echo ready; sleep 60 & wait", LONGEST_S)) == 5
    (tmp_path / "log").unlink()
    assert asyncio.run(run("trap '' TERM; echo ready; sleep 60", 0.3)) == 128 + signal.SIGKILL


def test_children_are_found(tmp_path: Path) -> None:
    async def run() -> tuple[tuple[int, ...], str]:
        process = Process(launch(tmp_path, "sh", "-c", "sleep 60 & echo $!; wait"))
        lines = await until(lambda: last_lines(tmp_path / "log"))
        found = process.children()
        process.kill_group()
        await process.wait()
        return found, lines[0]

    found, said = asyncio.run(run())
    assert found == (int(said),)


def test_little_of_the_caller_s_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("PATH", "/usr/bin")
    assert dict(plain_environment({"A": "b"})).keys() <= {*os.environ, "A"} - {"SECRET"}
    assert dict(plain_environment({}))["PATH"] == "/usr/bin"
    assert "PYTHONPATH" in dict(python_environment())


def test_the_end_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "gone") == ()
