"""`up` refuses at the door, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import fitness
from lab import up as lab_up
from lab.names import LabNames
from lab.up import FAILED, REFUSED, up

GOOD = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
BAD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {contianers: []}\n"


@pytest.fixture(autouse=True)
def nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        pytest.fail("something was made")

    monkeypatch.setattr(lab_up, "_make_room", fail)


def test_every_problem_of_every_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("a.yaml", GOOD), ("b.yaml", BAD), ("c.yaml", "kind: [")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert up(LabNames("t"), [str(tmp_path)], mode="plain", workers=1) == REFUSED
    told = capsys.readouterr().err
    assert "b.yaml: Pod shop/a" in told
    assert "contianers" in told
    assert "c.yaml" in told


def test_references_that_lead_nowhere_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: nowhere}\nspec: {containers: [{name: c}]}\n"
    (tmp_path / "a.yaml").write_text(pod, encoding="utf-8")
    assert up(LabNames("t"), [str(tmp_path)], mode="plain", workers=1) == REFUSED
    assert "nowhere" in capsys.readouterr().err


def test_a_path_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert up(LabNames("t"), [str(tmp_path / "gone.yaml")], mode="plain", workers=1) == REFUSED
    assert "gone.yaml: no such file" in capsys.readouterr().err


def test_manifests_without_an_object_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "none.yaml"
    empty.write_text("# all commented out\n", encoding="utf-8")
    assert up(LabNames("t"), [str(empty)], mode="plain", workers=1) == REFUSED
    assert capsys.readouterr().err == f"{empty}: holds no object\n"


def test_an_empty_path_is_not_this_directory(capsys: pytest.CaptureFixture[str]) -> None:
    assert up(LabNames("t"), [""], mode="plain", workers=1) == REFUSED
    assert "an empty path" in capsys.readouterr().err


def test_a_machine_that_lacks_something_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(lab_up.os, "geteuid", lambda: 0)
    monkeypatch.setattr(fitness, "faults", lambda: ["no cgroup v2: mount it"])
    assert up(LabNames("t"), [str(tmp_path)], mode="plain", workers=1) == FAILED
    assert "no cgroup v2: mount it" in capsys.readouterr().err
