"""Removing an instance."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.uninstall import OWN_FILES, uninstall


def test_it_removes_its_own_files_and_says_so(tmp_path: Path) -> None:
    state, pins = tmp_path / "state", tmp_path / "pins"
    state.mkdir()
    pins.mkdir()
    for name in OWN_FILES:
        (state / name).touch()
    told: list[str] = []
    called: list[str] = []
    uninstall(state=state, pins=pins, remove_datapath=lambda: called.append("datapath"), say=told.append)
    assert not state.exists()
    assert called == ["datapath"]
    assert any("node.key" in text for text in told)
    assert str(pins) in told[0]


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "join-token").touch()
    (tmp_path / "node.key").touch()
    uninstall(state=tmp_path, pins=tmp_path / "none", remove_datapath=lambda: None, say=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["join-token"]


def test_an_agent_that_runs_is_not_undermined(tmp_path: Path) -> None:
    called: list[str] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "agent.sock"))
        server.listen(1)
        with pytest.raises(AgentError, match="stop it first"):
            uninstall(state=tmp_path, pins=tmp_path, remove_datapath=lambda: called.append("x"), say=lambda _: None)
    assert called == []
