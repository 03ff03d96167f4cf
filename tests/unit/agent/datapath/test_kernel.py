"""Errors of the kernel datapath read as sentences (the datapath itself: tests/bpf)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.datapath import kernel
from agent.datapath.interface import DatapathError
from agent.datapath.kernel import KernelDatapath
from agent.datapath.libbpf import KernelError
from agent.datapath.links import LinkError


@pytest.fixture(autouse=True)
def no_bpffs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "mount_bpffs", lambda _path: None)


def test_a_loader_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(
            command, 1, "", "load: kernel 6.1 refuses program tc_to_pod\n    R1 invalid\n"
        )

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DatapathError, match="refuses program tc_to_pod"):
        KernelDatapath("demo", str(tmp_path)).ensure_loaded()
    assert asked[0][1:] == ["-m", "agent.datapath.load", "--instance", "demo", "--bpffs", str(tmp_path)]


def test_a_loader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DatapathError, match="took longer"):
        KernelDatapath("demo", str(tmp_path)).ensure_loaded()


@pytest.mark.parametrize("error", [KernelError(2, "open /x"), LinkError("no interface")])
def test_foreign_errors_are_translated(error: Exception) -> None:
    with pytest.raises(DatapathError), kernel._told():
        raise error


def test_a_cgroup_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatapathError, match="cannot open cgroup"):
        KernelDatapath("demo", str(tmp_path)).attach_cgroup(str(tmp_path / "gone"))
