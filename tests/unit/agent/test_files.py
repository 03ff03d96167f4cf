"""State files: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.files import StateFileError, load_snapshot, save_snapshot, write_atomic
from tests.support import nodes


def test_files_are_for_root_alone_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old, and longer")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="nowhere"):
        write_atomic(tmp_path / "nowhere" / "x", b"new")


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    held = nodes.snapshot(
        pods=[nodes.pod("a", "10.9.0.1", 300, "a")], peers={"10.9.1.1/32": 256}, policies=[nodes.policy("a")]
    )
    save_snapshot(tmp_path / "snapshot.pb", held)
    assert load_snapshot(tmp_path / "snapshot.pb", "node-1") == held


def test_no_snapshot_is_none(tmp_path: Path) -> None:
    assert load_snapshot(tmp_path / "snapshot.pb", "node-1") is None


def test_a_damaged_snapshot_and_one_of_another_node_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pb"
    path.write_bytes(b"\xff\xff")
    with pytest.raises(StateFileError, match="damaged"):
        load_snapshot(path, "node-1")
    save_snapshot(path, nodes.snapshot())
    with pytest.raises(StateFileError, match="of node node-1"):
        load_snapshot(path, "node-2")
