"""weft doctor."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from cli import programs
from cli import target as targets
from cli.checks import Check, State
from cli.commands import doctor
from cli.target import of_address, of_lab
from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft


def answering(stdout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess(args=[], returncode=0, stdout=stdout, stderr="it broke\n")
    monkeypatch.setattr(programs, "run", lambda module, arguments, timeout_s: done)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: object())


def test_the_agents_own_lines_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    answering('[{"check": "load", "state": "ok", "detail": "9 programs", "todo": ""}]', monkeypatch)
    assert doctor.preflight() == [Check("load", State.OK, "9 programs")]


def test_an_agent_that_cannot_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    answering("no json", monkeypatch)
    assert [(check.state, check.detail) for check in doctor.preflight()] == [
        (State.FAIL, "agent.datapath.preflight: it broke"),
    ]
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert doctor.preflight()[0].state is State.FAIL


def test_no_lab_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(targets, "LABS", tmp_path)
    assert [check.state for check in doctor.running(of_lab("default"))] == [State.OK]
    (tmp_path / "default").mkdir()
    assert [check.state for check in doctor.running(of_lab("default"))] == [State.FAIL, State.FAIL]


def test_without_root_the_cluster_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sockets that are out of reach would look like a cluster that is down."""
    monkeypatch.setattr(doctor, "lab_directory", lambda name: tmp_path)
    (check,) = doctor.running(of_lab("default"), root=False)
    assert (check.state, check.todo) == (State.WARN, "run this as root")


def test_a_cluster_is_asked_whether_its_agents_are_there(admin: FakeAdmin) -> None:
    admin.status = samples.status(samples.status_node("a"), samples.status_node("b", state="away"), settled=False)
    found = {check.check: check.state for check in doctor.running(of_address(admin.address))}
    assert found == {"controller": State.OK, "agent a": State.OK, "agent b": State.FAIL, "settled": State.WARN}


def test_a_failure_is_one_and_named(weft: Weft, admin: FakeAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "preflight", lambda: [Check("load", State.FAIL, "the verifier refused", "report it")])
    done = weft("doctor", "-o", "json")
    assert done.exit_code == 1
    assert {"check": "load", "state": "fail", "detail": "the verifier refused", "todo": "report it"} in json.loads(
        done.stdout
    )
    assert "load" in done.stderr
    assert "-> report it" in weft("doctor").stdout
