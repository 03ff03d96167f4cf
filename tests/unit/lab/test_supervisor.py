"""The supervisor carries plans out: writes once, runs what is planned, replaces what has changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lab import names as lab_names
from lab import supervisor as lab_supervisor
from lab.names import LabNames
from lab.plan import Facts, Plan
from lab.podspec import Document, parse_pod
from lab.progress import Reporter
from lab.supervisor import Supervisor
from tests.unit.lab.documents import placed
from tests.unit.lab.waiting import until


class Control:
    """Takes notes instead of a controller."""

    def __init__(self, _: Path) -> None:
        self.written: list[Document] = []
        self.deleted: list[tuple[str, str, str]] = []

    async def write(self, documents: list[Document]) -> None:
        self.written += documents

    async def delete(self, *what: str) -> None:
        self.deleted.append((what[0], what[1], what[2]))


class FakeWorkload:
    lives: list[str] = []

    def __init__(self, spec: Any, names: Any, wires: Any, changed: Any) -> None:
        self.spec, self.facts, self.failure, self.settled = spec, Facts(phase="Running"), "", True

    async def live(self) -> None:
        self.lives.append(f"up {self.spec.key}")
        try:
            await asyncio.Event().wait()
        finally:
            self.lives.append(f"down {self.spec.key}")


@pytest.fixture(autouse=True)
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_names, "RUN_ROOT", tmp_path)
    monkeypatch.setattr(lab_supervisor, "ControlPlane", Control)
    monkeypatch.setattr(lab_supervisor, "Workload", FakeWorkload)
    monkeypatch.setattr(FakeWorkload, "lives", [])
    LabNames("t").run_dir.mkdir(parents=True)


def supervise(act: Callable[[Supervisor], Awaitable[None]]) -> None:
    async def run() -> None:
        subject = Supervisor(LabNames("t"), Reporter(1), workers=1)
        async with asyncio.TaskGroup() as tasks:
            subject._group = tasks
            await act(subject)
            for task, _ in subject._tasks.values():
                task.cancel()
        subject._wires.close()

    asyncio.run(run())


POD = placed("a", "10.0.0.1")


def running(document: Document) -> Plan:
    return Plan(run={"shop/a": parse_pod(document)})


def test_a_changed_pod_is_taken_down_before_it_comes_up_again() -> None:
    async def act(subject: Supervisor) -> None:
        await subject._carry_out(running(POD))
        await until(lambda: FakeWorkload.lives == ["up shop/a"])
        await subject._carry_out(running({**POD, "metadata": {**POD["metadata"], "labels": {"app": "b"}}}))
        assert FakeWorkload.lives == ["up shop/a"]
        changed = running(placed("a", "10.0.0.1", uid="another"))
        await subject._carry_out(changed)
        await until(lambda: len(FakeWorkload.lives) == 2)
        await subject._carry_out(changed)
        await until(lambda: len(FakeWorkload.lives) == 3)
        await subject._carry_out(Plan())
        await until(lambda: len(FakeWorkload.lives) == 4)

    supervise(act)
    assert FakeWorkload.lives == ["up shop/a", "down shop/a", "up shop/a", "down shop/a"]


def test_a_write_that_does_not_stick_is_not_repeated_for_ever() -> None:
    async def act(subject: Supervisor) -> None:
        control: Any = subject._control
        wanted = Plan(write=(POD,), delete=(("EndpointSlice", "shop", "x"),))
        assert await subject._carry_out(wanted) is False
        await subject._carry_out(Plan(write=(POD,)))
        assert control.written == [POD]
        subject._objects["Pod"]["shop/a"] = {**POD, "spec": {}}
        await subject._carry_out(Plan(write=(POD,)))
        assert control.written == [POD, POD]
        assert control.deleted == [("EndpointSlice", "shop", "x")]

    supervise(act)


def test_the_zone_is_written_whole_when_it_changes() -> None:
    async def act(subject: Supervisor) -> None:
        subject._objects["Pod"]["shop/a"] = POD
        subject._write_zone()
        zone = json.loads(subject.names.zone.read_text(encoding="utf-8"))
        assert zone["addresses"]["10-0-0-1.shop.pod.cluster.local"] == ["10.0.0.1"]
        before = subject.names.zone.stat().st_ino
        subject._write_zone()
        assert subject.names.zone.stat().st_ino == before
        assert not subject.names.zone.with_suffix(".new").exists()

    supervise(act)
