"""The word that agent and workers share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mesh.api.floor import Floor, shown


def test_a_worker_sees_what_any_agent_writes(tmp_path: Path) -> None:
    first = Floor(tmp_path / "floor")
    seen = shown(first.descriptor())
    assert seen[0] == 0
    first.set(7)
    assert seen[0] == 7
    first.close()
    second = Floor(tmp_path / "floor")
    assert seen[0] == 7, "a new agent leaves it until it has something to say"
    second.set(8)
    assert seen[0] == 8
    second.close()


def test_a_worker_cannot_write_it_nor_anybody_else(tmp_path: Path) -> None:
    floor = Floor(tmp_path / "floor")
    descriptor = floor.descriptor()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(descriptor, bytes(8))
    with pytest.raises(TypeError):
        shown(descriptor)[0] = 1
    assert (tmp_path / "floor").stat().st_mode & 0o777 == 0o600
    floor.close()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "floor").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Floor(tmp_path / "floor")
    assert not (tmp_path / "elsewhere").exists()
