"""`down` takes what is the lab's and nothing else, from any state."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import down as lab_down
from lab import names as lab_names
from lab import netns
from lab.down import StillThere, down
from lab.names import LabNames


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every place where a lab leaves something, in a directory."""
    for name in ("run", "netns", "bpffs", "cgroup", "headers"):
        (tmp_path / name).mkdir()
    for module, name, value in (
        (lab_names, "RUN_ROOT", "run"),
        (lab_names, "NETNS_ROOT", "netns"),
        (netns, "NETNS_ROOT", "netns"),
        (lab_down, "NETNS_ROOT", "netns"),
        (lab_down, "RUN_ROOT", "run"),
        (lab_down, "BPFFS_ROOT", "bpffs"),
        (lab_down, "HEADER_CACHE", "headers"),
    ):
        monkeypatch.setattr(module, name, tmp_path / value)
    monkeypatch.setattr(lab_down.cgroups, "root", lambda: tmp_path / "cgroup")
    monkeypatch.setattr(netns.kernel, "unmount", lambda _: None)
    return tmp_path


def leave(machine: Path, lab: str) -> None:
    names = LabNames(lab)
    (machine / "netns" / names.node("n")).touch()
    (machine / "netns" / names.pod("shop", "a")).touch()
    (machine / "bpffs" / names.instance("n") / "maps").mkdir(parents=True)
    (machine / "cgroup" / names.pods_cgroup("n")).mkdir(parents=True)
    (names.run_dir / "logs").mkdir(parents=True)


def test_a_lab_goes_whole_and_its_neighbour_stays(machine: Path) -> None:
    leave(machine, "a")
    leave(machine, "a-b")
    removed = down(LabNames("a"))
    assert "2 network namespaces" in removed
    assert [path.name for path in (machine / "bpffs").iterdir()] == ["a-b_n"]
    assert {path.name for path in (machine / "netns").iterdir()} == {"weft-a-b-node-n", "weft-a-b-pod-shop_a"}
    assert [path.name for path in (machine / "run" / "labs").iterdir()] == ["a-b"]
    assert [path.name for path in (machine / "cgroup" / "weft").iterdir()] == ["a-b"]
    assert (machine / "headers").exists()


def test_after_the_last_one_nothing_is_left_and_again_is_fine(machine: Path) -> None:
    leave(machine, "a")
    down(LabNames("a"))
    assert {path.name for path in machine.iterdir()} == {"cgroup"}
    assert list((machine / "cgroup").iterdir()) == []
    assert down(LabNames("a")) == []


@pytest.mark.parametrize("part", ["netns", "bpffs", "cgroup", "run"])
def test_each_remainder_alone_is_found(machine: Path, part: str) -> None:
    names = LabNames("a")
    path = {
        "netns": machine / "netns" / names.fabric,
        "bpffs": machine / "bpffs" / names.instance("n"),
        "cgroup": machine / "cgroup" / names.supervisor_cgroup,
        "run": names.run_dir,
    }[part]
    path.mkdir(parents=True) if part != "netns" else path.touch()
    down(names)
    assert not path.exists()


def test_processes_that_do_not_die_are_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(machine, "a")
    monkeypatch.setattr(lab_down, "_DIE_WITHIN_S", 0.0)
    monkeypatch.setattr(lab_down.cgroups, "processes", lambda _: (4711,))
    with pytest.raises(StillThere, match="4711"):
        down(LabNames("a"))
