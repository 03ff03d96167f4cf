"""`lab exec`: which variables a command sees, and what is said when there is no such place."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import names as lab_names
from lab.execute import FAILED, UNREACHABLE, environment, execute
from lab.names import LabNames


def test_the_pod_s_variables_win_but_for_where_programs_are() -> None:
    caller = {"PATH": "/mine", "TERM": "xterm", "HTTPS_PROXY": "http://p", "no_proxy": "x", "WEFT_POD": "liar"}
    place = {"env": {"PATH": "/theirs", "WEFT_POD": "a", "GREETING": "hello", "PYTHONPATH": "/lab"}}
    assert environment(caller, place) == {"PATH": "/mine", "TERM": "xterm", "WEFT_POD": "a", "GREETING": "hello"}


def test_without_root_it_is_said_that_root_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(lab_names, "RUN_ROOT", tmp_path)
    names = LabNames("t")
    names.run_dir.mkdir(parents=True)
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SystemExit) as left:
        execute(names, "shop/a", ["true"])
    assert left.value.code == UNREACHABLE
    assert "needs root" in capsys.readouterr().err


def test_a_lab_that_is_not_up_and_a_pod_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lab_names, "RUN_ROOT", tmp_path)
    names = LabNames("t")
    with pytest.raises(SystemExit) as left:
        execute(names, "shop/a", ["true"])
    assert left.value.code == UNREACHABLE
    assert capsys.readouterr().err == "lab t is not up: weft lab up --name t PATH...\n"
    LabNames("other").run_dir.mkdir(parents=True)
    with pytest.raises(SystemExit):
        execute(names, "shop/a", ["true"])
    assert capsys.readouterr().err.endswith("PATH...; there is other: weft --lab NAME lab exec ...\n")
    names.run_dir.mkdir(parents=True)
    with pytest.raises(SystemExit) as left:
        execute(names, "shop/a", ["true"])
    assert left.value.code == FAILED
    assert "runs no pod shop/a" in capsys.readouterr().err
