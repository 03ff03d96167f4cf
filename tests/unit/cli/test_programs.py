"""How other programs are started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cli import programs


def test_a_folder_of_the_users_is_not_taken_for_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert programs.command_line("lab", ["up"]) == [sys.executable, "-P", "-m", "lab", "up"]


def test_in_a_checkout_the_checkout_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(programs.ROOT)
    assert programs.command_line("lab", ["up"]) == [sys.executable, "-m", "lab", "up"]


def test_becoming_keeps_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []

    def execv(path: str, line: list[str]) -> None:
        seen.append((path, line))
        raise SystemExit(7)

    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(SystemExit):
        programs.become("lab", ["exec", "a/b", "--", "sh", "-c", "x y"])
    assert seen[0][0] == sys.executable
    assert seen[0][1][-6:] == ["exec", "a/b", "--", "sh", "-c", "x y"]


def test_running_keeps_what_was_printed() -> None:
    done = programs.run("this_module_does_not_exist", [], timeout_s=30)
    assert done.returncode == 1
    assert "No module named" in done.stderr
    assert programs.run_aloud("this_module_does_not_exist", []) == 1
