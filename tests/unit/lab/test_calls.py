"""The supervisor's socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import names as lab_names
from lab.calls import CallServer
from lab.names import LabNames
from tests.unit.lab.waiting import until


class FakeComponent:
    def __init__(self, kind: str, node: str = "") -> None:
        self.kind, self.node, self.title = kind, node, f"{kind} {node}"
        self.done: list[str] = []

    def describe(self) -> dict[str, Any]:
        return {"component": self.kind, "node": self.node or None}

    async def restart(self) -> None:
        self.done.append("restart")

    def kill(self) -> int:
        self.done.append("kill")
        return 7


class FakeSupervisor:
    """What calls may ask."""

    def __init__(self) -> None:
        self.names = LabNames("t")
        self.components: list[Any] = [
            FakeComponent("controller"), FakeComponent("agent", "n1"), FakeComponent("agent", "n2"),
        ]  # fmt: skip
        self.workloads: dict[str, Any] = {}
        self.stop = asyncio.Event()

    def describe_pods(self) -> list[dict[str, Any]]:
        return [{"namespace": "shop", "name": "a"}]

    def linger(self, work: Coroutine[Any, Any, None], name: str) -> None:
        raise AssertionError(name)


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSupervisor:
    monkeypatch.setattr(lab_names, "RUN_ROOT", tmp_path)
    made = FakeSupervisor()
    made.names.log("x").parent.mkdir(parents=True)
    return made


def ask(supervisor: FakeSupervisor, *requests: bytes) -> list[Any]:
    """Send lines, and read as many."""

    async def run() -> list[Any]:
        server = asyncio.ensure_future(CallServer(supervisor).serve())
        await until(supervisor.names.supervisor_socket.exists)
        reader, writer = await asyncio.open_unix_connection(str(supervisor.names.supervisor_socket))
        answers = []
        for request in requests:
            writer.write(request + b"\n")
            answers.append(json.loads(await reader.readline()))
        writer.close()
        server.cancel()
        return answers

    return asyncio.run(run())


def test_status_and_several_questions_on_one_connection(supervisor: FakeSupervisor) -> None:
    first, second = ask(supervisor, b'{"call": "status"}', b'{"call": "down"}')
    assert first["result"]["components"][1] == {"component": "agent", "node": "n1"}
    assert first["result"]["pods"] == [{"namespace": "shop", "name": "a"}]
    assert second == {"result": {"stopping": True}}
    assert supervisor.stop.is_set()


def test_a_node_can_be_chosen_and_otherwise_all_are_meant(supervisor: FakeSupervisor) -> None:
    ask(supervisor, b'{"call": "restart", "component": "agent", "node": "n2"}', b'{"call":"kill","component":"agent"}')
    assert [component.done for component in supervisor.components] == [[], ["kill"], ["restart", "kill"]]


@pytest.mark.parametrize(
    ("request_line", "says"),
    [
        (b"{", "Expecting"),
        (b"[]", "a request is a JSON object"),
        (b'{"call": "dance"}', "unknown call 'dance'"),
        (b'{"call": "kill", "component": "kubelet"}', "unknown component 'kubelet'"),
        (b'{"call": "kill", "component": "agent", "node": "n9"}', "nodes that have one: n1, n2"),
        (b'{"call": "logs", "component": "shop/none"}', "no pod shop/none"),
        (b'{"call": "logs", "component": "agent", "node": "n9"}', "no agent on node 'n9'; nodes that have one: n1, n2"),
    ],
)
def test_nonsense_is_answered_with_a_sentence(supervisor: FakeSupervisor, request_line: bytes, says: str) -> None:
    (answer,) = ask(supervisor, request_line)
    assert says in answer["error"]


def test_logs_come_as_lines_and_the_connection_ends(supervisor: FakeSupervisor) -> None:
    for node in ("n1", "n2"):
        supervisor.names.log(f"agent-{node}").write_text(f"one\nlast of {node}\n", encoding="utf-8")
    (answer,) = ask(supervisor, b'{"call": "logs", "component": "agent", "tail": 1}')
    assert answer == {"result": ["n1: last of n1", "n2: last of n2"]}


def test_a_pod_s_log_is_asked_for_by_its_name(supervisor: FakeSupervisor, tmp_path: Path) -> None:
    (tmp_path / "main.log").write_text("hello\n", encoding="utf-8")
    supervisor.workloads["shop/a"] = SimpleNamespace(logs={"main": str(tmp_path / "main.log")})
    (answer,) = ask(supervisor, b'{"call": "logs", "component": "shop/a"}')
    assert answer == {"result": ["hello"]}
