"""Cgroups: found, listed and removed as trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import cgroups

HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""


def test_the_version_2_mount_is_found_wherever_it_is() -> None:
    assert cgroups.find_root(HYBRID) == Path("/sys/fs/cgroup/unified")
    both = HYBRID + "cgroup2 /mnt/other cgroup2 rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
    assert cgroups.find_root(both) == Path("/sys/fs/cgroup")
    assert cgroups.find_root("x /mnt/c cgroup2 rw 0 0\n") == Path("/mnt/c")


def test_without_one_it_says_what_to_do() -> None:
    with pytest.raises(cgroups.NoCgroup2, match="mount -t cgroup2"):
        cgroups.find_root("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n")


def test_processes_are_those_of_the_whole_subtree_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for path, text in ((tmp_path, ""), (tmp_path / "a", "1\n2\n"), (tmp_path / "a" / "b", "2\n3\n")):
        (path / "cgroup.procs").write_text(text, encoding="ascii")
    assert sorted(cgroups.processes(tmp_path)) == [1, 2, 3]
    assert cgroups.processes(tmp_path / "gone") == ()


def test_a_tree_is_removed_from_its_leaves(tmp_path: Path) -> None:
    (tmp_path / "lab" / "n" / "pods" / "p").mkdir(parents=True)
    (tmp_path / "lab" / "n" / "system").mkdir()
    assert cgroups.remove(tmp_path / "lab")
    assert not (tmp_path / "lab").exists()
    assert cgroups.remove(tmp_path / "lab")


def test_what_still_lives_is_said_not_waited_for_without_end(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "busy").write_text("")
    assert not cgroups.remove(tmp_path / "lab", wait_s=0.0)


def test_killing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    cgroups.kill(tmp_path / "gone")
    (tmp_path / "cgroup.kill").write_text("")
    cgroups.kill(tmp_path)
    assert (tmp_path / "cgroup.kill").read_text() == "1"
