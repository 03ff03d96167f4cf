"""Why nobody answers, in words."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli import target as target_module
from cli.errors import Unreachable
from cli.sockets import connect, explain
from cli.target import Target, of_lab


def target(path: Path) -> Target:
    return Target(lab=None, admin_socket=path)


def test_no_socket_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"no such socket; is the controller running with --admin-socket"):
        connect(tmp_path / "none", component="controller", target=target(tmp_path))


def test_no_lab_says_how_to_bring_it_up() -> None:
    said = explain(FileNotFoundError(), Path("/x"), component="supervisor", target=of_lab("green"))
    assert "cannot reach the supervisor of lab green at /x" in said
    assert "weft lab up --name green PATH" in said


def test_other_labs_of_the_machine_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "LABS", tmp_path)
    lab = of_lab("default")
    said = explain(FileNotFoundError(), Path("/x"), component="controller", target=lab)
    assert said.endswith("Start it with: weft lab up PATH..., or name another one with --lab")
    for name in ("red", "default", "green"):
        (tmp_path / name).mkdir()
    said = explain(FileNotFoundError(), Path("/x"), component="controller", target=lab)
    assert said.endswith("or name another one with --lab (there is green, red)")


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(Unreachable, match="nobody listens any more"):
        connect(path, component="controller", target=target(path))


def test_permission_and_silence_have_sentences_of_their_own() -> None:
    lab = of_lab("a")
    assert "run this as root" in explain(PermissionError(), Path("/x"), component="c", target=lab)
    assert "no answer within" in explain(TimeoutError(), Path("/x"), component="c", target=lab)
    assert "lab status" in explain(ConnectionRefusedError(), Path("/x"), component="c", target=lab)
    assert "lab down --name a" in explain(ConnectionRefusedError(), Path("/x"), component="supervisor", target=lab)


def test_a_listening_socket_is_connected(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(1)
        connect(tmp_path / "s", component="controller", target=target(tmp_path)).close()
        accepted, _ = server.accept()
        accepted.close()
