"""weft uninstall."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli import programs
from cli import target as targets
from cli.commands import uninstall
from tests.unit.cli.conftest import Weft


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with lab a and lab b on it, and a node's agent."""
    for name, module, attribute in (
        ("bpf", uninstall, "BPFFS"),
        ("netns", uninstall, "NETNS"),
        ("labs", targets, "LABS"),
    ):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(module, attribute, tmp_path / name)
    monkeypatch.setattr(uninstall, "CGROUPS", (tmp_path / "cgroup",))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    for path in (
        "bpf/a.node-1",
        "bpf/b.node-1",
        "bpf/node",
        "netns/weft-a-fabric",
        "netns/weft-a-b-fabric",
        "labs/a",
        "cgroup/weft/a",
    ):
        (tmp_path / path).mkdir(parents=True)
    return tmp_path


def removing(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> list[list[str]]:
    """Stand in for the program that removes: it removes `paths`."""
    seen: list[list[str]] = []

    def run(module: str, arguments: list[str]) -> int:
        seen.append([module, *arguments])
        for path in paths:
            shutil.rmtree(path)
        return 0

    monkeypatch.setattr(programs, "run_aloud", run)
    return seen


def test_a_lab_goes_by_down_and_what_went_is_said(
    weft_alone: Weft, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = [machine / path for path in ("bpf/a.node-1", "netns/weft-a-fabric", "cgroup/weft/a", "labs/a")]
    seen = removing(monkeypatch, *its)
    done = weft_alone("--lab", "a", "uninstall", "--yes")
    assert done.exit_code == 0, done.output
    assert seen == [["lab", "down", "--name", "a"]]
    assert done.stdout == "".join(f"removed {path}\n" for path in its) + "nothing of lab a is left\n"


def test_what_is_left_is_named_and_one(weft_alone: Weft, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removing(monkeypatch)
    done = weft_alone("--lab", "a", "uninstall", "--yes")
    assert done.exit_code == 1
    assert str(machine / "bpf" / "a.node-1") in done.stderr
    assert "weft-a-b-fabric" not in done.stderr, "that is another lab's"


def test_a_nodes_agent(weft_alone: Weft, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "state").mkdir()
    (machine / "state" / "join-token").write_text("of somebody else")
    seen = removing(monkeypatch, machine / "bpf" / "node")
    state = str(machine / "state")
    done = weft_alone("uninstall", "--instance", "node", "--state", state, "--cgroup", "/c", "--yes")
    assert done.exit_code == 0, done.output
    assert seen == [["agent", "uninstall", "--instance", "node", "--state", state, "--cgroup", "/c"]]


def test_nobody_to_ask_is_a_usage_error(weft_alone: Weft, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = removing(monkeypatch)
    assert weft_alone("--lab", "a", "uninstall").exit_code == 2
    assert weft_alone("uninstall", "--state", "x", "--yes").exit_code == 2
    assert seen == []


def test_who_is_not_root_is_told_before_anything_else(
    weft_alone: Weft, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    seen = removing(monkeypatch)
    for arguments in (("--lab", "a", "uninstall"), ("uninstall", "--instance", "node", "--yes")):
        done = weft_alone(*arguments)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("weft: uninstall needs root")
    assert seen == []
