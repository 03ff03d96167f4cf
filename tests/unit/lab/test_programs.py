"""Command lines of the mesh's programs, and when they count as ready."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from lab import agentlink, programs
from lab import names as lab_names
from lab.names import LabNames

NAMES = LabNames("t")


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_names, "RUN_ROOT", tmp_path / "run")
    monkeypatch.setattr(programs.cgroups, "make", lambda relative: tmp_path / "cgroup" / relative)


class Running:
    """Stands for a process."""

    pid = 100
    exit_code: int | None = None

    def children(self) -> tuple[int, ...]:
        return (101, 102)


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_an_agent_is_its_node_s_and_gets_its_token_in_a_file_for_root() -> None:
    launch = programs.agent(NAMES, "n1", "name.secret.hash").launch
    assert launch.netns == NAMES.netns_path(NAMES.node("n1"))
    assert option(launch.argv, "--instance") == "t_n1"
    assert option(launch.argv, "--cgroup").endswith(NAMES.pods_cgroup("n1"))
    assert not str(launch.cgroup).startswith(option(launch.argv, "--cgroup"))
    token = Path(option(launch.argv, "--join-token-file"))
    assert token.read_text(encoding="ascii") == "name.secret.hash\n"
    assert os.stat(token).st_mode & 0o777 == 0o600


def test_a_node_can_ask_for_more_flags_of_its_agent() -> None:
    node = {"metadata": {"name": "n1", "annotations": {programs.AGENT_FLAGS: "--proxy-grace 1 --map-entries ct=64"}}}
    flags = programs.agent_flags(node)
    assert programs.agent(NAMES, "n1", "x", flags).launch.argv[-4:] == ("--proxy-grace", "1", "--map-entries", "ct=64")
    assert programs.agent_flags({"metadata": {"name": "n1"}}) == ()


def test_a_proxy_is_ready_when_the_agent_knows_one_of_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [{"proxyPids": [7]}, {"proxyPids": [7, 102]}]

    async def call(*_: object, **__: object) -> Any:
        return answers.pop(0)

    monkeypatch.setattr(agentlink, "call", call)
    subject = programs.proxy(NAMES, "n1", 2)
    assert option(subject.launch.argv, "--workers") == "2"
    assert asyncio.run(subject._ready(Running())) is False  # type: ignore[arg-type]
    assert asyncio.run(subject._ready(Running())) is True  # type: ignore[arg-type]


def test_an_agent_that_does_not_answer_is_not_ready() -> None:
    subject = programs.agent(NAMES, "n1", "x")
    assert asyncio.run(subject._ready(Running())) is False  # type: ignore[arg-type]


def test_the_controller_stands_on_the_fabric() -> None:
    class Control:
        async def ready(self) -> bool:
            return True

    subject = programs.controller(NAMES, Control())  # type: ignore[arg-type]
    assert subject.launch.netns == NAMES.netns_path(NAMES.fabric)
    assert option(subject.launch.argv, "--admin-socket") == str(NAMES.admin_socket)
    assert asyncio.run(subject._ready(Running())) is True  # type: ignore[arg-type]
