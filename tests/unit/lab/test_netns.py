"""Named namespaces: what belongs to a lab, and that a failure leaves the thread where it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import names as lab_names
from lab import netns
from lab.names import LabNames


def test_only_namespaces_of_the_lab_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns, "NETNS_ROOT", tmp_path)
    for name in ("weft-a-fabric", "weft-a-pod-x_y", "weft-a-b-fabric", "other"):
        (tmp_path / name).touch()
    assert netns.of_lab(LabNames("a")) == ["weft-a-fabric", "weft-a-pod-x_y"]
    monkeypatch.setattr(netns, "NETNS_ROOT", tmp_path / "gone")
    assert netns.of_lab(LabNames("a")) == []


def test_work_in_a_thread_gives_its_result_or_its_error() -> None:
    assert netns.in_thread(lambda: 7) == 7
    with pytest.raises(FileNotFoundError):
        netns.in_thread(lambda: os.stat("/no/such/file"))


def test_a_missing_namespace_leaves_the_thread_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_names, "NETNS_ROOT", tmp_path)
    before = os.readlink("/proc/thread-self/ns/net")
    with pytest.raises(FileNotFoundError), netns.inside("nobody"):
        pytest.fail("it cannot be entered")
    assert os.readlink("/proc/thread-self/ns/net") == before


def test_removing_a_name_that_was_never_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_names, "NETNS_ROOT", tmp_path)
    unmounted: list[str] = []
    monkeypatch.setattr(netns.kernel, "unmount", unmounted.append)
    (tmp_path / "half-made").touch()
    netns.remove("half-made")
    netns.remove("half-made")
    assert unmounted == [str(tmp_path / "half-made")] * 2
    assert list(tmp_path.iterdir()) == []
