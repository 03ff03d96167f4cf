"""A pod's life: enforced before anything of it runs, and gone without a trace."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lab import names as lab_names
from lab import workload as lab_workload
from lab.agentlink import AgentRefused
from lab.names import LabNames
from lab.podspec import parse_pod
from lab.processes import Launch
from lab.workload import Workload
from tests.unit.lab.documents import placed
from tests.unit.lab.waiting import until

NAMES = LabNames("t")


class World:
    """Everything that a workload does to the machine, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.codes: dict[str, list[int]] = {}
        """Exit statuses of a container's runs; without any it runs on."""
        self.refusals: list[str] = []
        self.attachments: list[tuple[str, str]] = []
        """What the agent's calls name, in their order."""

    async def add_pod(self, key: str, node: str, addresses: Any) -> None:
        self.log.append(f"wire {key}")

    async def remove_pod(self, key: str) -> None:
        self.log.append(f"unwire {key}")

    async def call(self, socket: Path, name: str, **arguments: Any) -> None:
        if name == "endpoint.add" and self.refusals:
            raise AgentRefused(self.refusals.pop(0))
        self.log.append(f"{name} {arguments['namespace']}/{arguments['pod']}")
        self.attachments.append((arguments["netns"], arguments["host_ifname"]))

    def process(self, launch: Launch) -> FakeProcess:
        self.log.append(f"run {launch.argv[0]}")
        return FakeProcess(self, launch)


class FakeProcess:
    pid = 2**22 + 1

    def __init__(self, world: World, launch: Launch) -> None:
        codes = world.codes.get(launch.argv[0], [])
        self._world, self._name, self.started = world, launch.argv[0], time.monotonic()
        self.exit_code: int | None = codes.pop(0) if codes else None
        self._ended = asyncio.Event()
        if self.exit_code is not None:
            self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        return self.exit_code or 0

    async def stop(self, grace_s: float) -> None:
        self._world.log.append(f"stop {self._name}")
        self.exit_code = 143
        self._ended.set()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(lab_names, "RUN_ROOT", tmp_path / "run")
    monkeypatch.setattr(lab_workload.cgroups, "root", lambda: tmp_path / "cgroup")
    monkeypatch.setattr(lab_workload.cgroups, "kill", lambda _: None)
    monkeypatch.setattr(lab_workload.agentlink, "call", made.call)
    monkeypatch.setattr(lab_workload, "Process", made.process)
    return made


def pod(**spec: Any) -> dict[str, Any]:
    document = placed("a", "10.0.0.1", containers=[{"name": "main", "command": ["server"]}])
    document["spec"].update(spec)
    return document


def live(world: World, document: dict[str, Any], act: Callable[[Workload], Awaitable[None]]) -> Workload:
    async def run() -> Workload:
        subject = Workload(parse_pod(document), NAMES, world, lambda: None)  # type: ignore[arg-type]
        task = asyncio.ensure_future(subject.live())
        try:
            await act(subject)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return subject

    return asyncio.run(run())


def test_a_pod_that_is_not_ready_says_why_it_is_not_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.refusals = ["not synced yet"]
    monkeypatch.setattr(lab_workload, "_READY_WITHIN_S", 0.1)

    async def act(subject: Workload) -> None:
        await until(lambda: subject.facts.message == "waits for the agent: not synced yet")
        await until(lambda: subject.settled)
        assert subject.facts.message == "a TCP port that it declares does not listen"

    live(world, pod(), act)


def test_only_a_command_of_the_user_s_can_have_ports_that_never_listen() -> None:
    built_in, own = ({"name": "a"}, {"name": "b", "command": ["server"]})
    waits = [
        lab_workload.ready_within_s(parse_pod(placed("a", "10.0.0.1", containers=containers)).containers)
        for containers in ([built_in], [own], [built_in, own])
    ]
    assert waits == [120.0, 5.0, 5.0]


def test_nothing_runs_before_the_pod_is_enforced_and_nothing_is_left(world: World, tmp_path: Path) -> None:
    world.refusals = ["not synced yet"]

    async def act(subject: Workload) -> None:
        await until(lambda: subject.facts.phase == "Running")
        place = json.loads((NAMES.pod_dir("shop", "a") / "pod.json").read_text(encoding="utf-8"))
        assert place["netns"] == NAMES.netns_path(NAMES.pod("shop", "a"))
        assert place["cgroup"].endswith("weft/t/n1/pods/shop_a")

    live(world, pod(), act)
    assert world.log == [
        "wire shop/a", "endpoint.add shop/a", "run server", "stop server", "endpoint.remove shop/a", "unwire shop/a",
    ]  # fmt: skip
    attachment = (NAMES.netns_path(NAMES.pod("shop", "a")), NAMES.pod_link("shop", "a"))
    assert world.attachments == [attachment, attachment]
    assert not NAMES.pod_dir("shop", "a").exists()
    assert not (tmp_path / "cgroup" / "weft" / "t" / "n1" / "pods" / "shop_a").exists()


def test_init_containers_end_before_the_others_begin(world: World) -> None:
    world.codes = {"first": [1, 0]}
    initial = [{"name": "init", "command": ["first"]}]

    async def act(subject: Workload) -> None:
        await until(lambda: subject.facts.phase == "Running")

    subject = live(world, pod(initContainers=initial), act)
    assert [line for line in world.log if line.startswith("run")] == ["run first", "run first", "run server"]
    assert subject.facts.restarts == 1


def test_a_container_that_crashes_again_and_again_fails_the_pod_by_name(world: World) -> None:
    world.codes = {"server": [1, 1, 1]}

    async def act(subject: Workload) -> None:
        await until(lambda: subject.failure)

    subject = live(world, pod(), act)
    assert subject.failure.startswith("pod shop/a: container main ended with exit status 1")


def test_a_program_that_cannot_be_started_fails_the_pod_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command line above the kernel's limit, say."""

    def refuse(launch: Launch) -> FakeProcess:
        raise OSError(7, "Argument list too long")

    monkeypatch.setattr(lab_workload, "Process", refuse)

    async def act(subject: Workload) -> None:
        await until(lambda: subject.failure)

    assert "Argument list too long" in live(world, pod(), act).failure


def test_a_command_that_looks_like_the_built_in_ones_is_only_itself(world: World) -> None:
    async def act(subject: Workload) -> None:
        await until(lambda: subject.facts.phase == "Running")

    live(world, pod(containers=[{"name": "main", "command": ["python3", "-m"]}]), act)
    assert "run python3" in world.log


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_a_pod_that_never_restarts_ends(world: World, code: int, phase: str) -> None:
    world.codes = {"server": [code]}

    async def act(subject: Workload) -> None:
        await until(lambda: subject.facts.phase == phase)
        assert subject.settled
        assert bool(subject.failure) == (code != 0)

    live(world, pod(restartPolicy="Never"), act)
    assert world.log.count("run server") == 1


def test_a_host_network_pod_has_no_wires_and_no_endpoint(world: World) -> None:
    async def act(subject: Workload) -> None:
        await until(lambda: subject.facts.phase == "Running")
        assert subject.netns == NAMES.node("n1")
        assert "/hostpods/" in subject.cgroup

    live(world, pod(hostNetwork=True), act)
    assert world.log == ["run server", "stop server"]
