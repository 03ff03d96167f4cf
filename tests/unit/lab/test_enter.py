"""Becoming a program somewhere else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab.enter import CANNOT_RUN, NOT_FOUND, become, enter, main


def test_the_process_joins_its_cgroup_first(tmp_path: Path) -> None:
    enter({"cgroup": str(tmp_path)})
    assert (tmp_path / "cgroup.procs").read_text(encoding="ascii") == str(os.getpid())


def test_an_empty_place_changes_nothing() -> None:
    before = os.readlink("/proc/self/ns/mnt")
    enter({"cgroup": "", "netns": "", "binds": [], "hostname": ""})
    assert os.readlink("/proc/self/ns/mnt") == before


def test_a_program_that_is_not_there_or_is_no_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        become(["no-such-program-here"], {"PATH": "/usr/bin"})
    assert left.value.code == NOT_FOUND
    text = tmp_path / "text"
    text.write_text("no program", encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        become([str(text)], {})
    assert left.value.code == CANNOT_RUN
    assert "no such program" in capsys.readouterr().err


def test_a_place_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = {"netns": str(tmp_path / "gone"), "argv": ["true"], "env": {}}
    with pytest.raises(SystemExit) as left:
        main(json.dumps(place))
    assert left.value.code == CANNOT_RUN
    assert "gone" in capsys.readouterr().err
