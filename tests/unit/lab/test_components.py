"""Programs of the mesh: kept running, replaced, crashed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab import components
from lab.backoff import Backoff
from lab.components import Component, NotReady
from lab.processes import Launch, Process, last_lines, plain_environment
from tests.unit.lab.waiting import until


async def alive(process: Process) -> bool:
    return process.exit_code is None


def component(tmp_path: Path, *argv: str, overlap: bool = False) -> Component:
    launch = Launch(argv=argv or ("sleep", "60"), log=tmp_path / "log", cgroup=tmp_path, env=plain_environment({}))
    others = [(replace(launch, log=tmp_path / name), name) for name in ("second", "third")] if overlap else []
    return Component("proxy", "n1", launch, alive, metrics="first", successors=others)


def with_keeper(subject: Component, act: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        keeper = asyncio.ensure_future(subject.keep())
        try:
            await subject.wait_ready()
            await act()
        finally:
            await subject.end()
            keeper.cancel()

    asyncio.run(run())


async def another_pid(subject: Component, old: int | None) -> int:
    def changed() -> int:
        pid = subject.describe()["pid"]
        return 0 if pid in (None, old) else int(pid)

    return await until(changed)


def test_what_was_killed_is_started_again(tmp_path: Path) -> None:
    subject = component(tmp_path)

    async def act() -> None:
        old = subject.kill()
        assert old is not None
        assert await another_pid(subject, old) != old
        assert subject.describe()["restarts"] == 1
        assert subject.state == "running"

    with_keeper(subject, act)


def test_a_restart_is_no_death(tmp_path: Path) -> None:
    subject = component(tmp_path)

    async def act() -> None:
        old = subject.describe()["pid"]
        assert await subject.restart() is None
        assert subject.describe()["pid"] not in (None, old)
        assert subject.describe()["restarts"] == 0

    with_keeper(subject, act)


def test_early_deaths_of_the_past_do_not_fail_a_restart(tmp_path: Path) -> None:
    """Someone killed it again and again; then it is restarted, and takes a moment to be ready."""
    subject = component(tmp_path)
    looks: list[int] = []

    async def ready_at_the_third_look(process: Process) -> bool:
        looks.append(process.pid)
        return looks.count(process.pid) >= 3

    async def act() -> None:
        subject.backoff = Backoff(6)
        subject._ready = ready_at_the_third_look
        await subject.restart()
        assert len(looks) == 3

    with_keeper(subject, act)


def test_an_overlapping_restart_hands_back_the_one_that_drains(tmp_path: Path) -> None:
    subject = component(tmp_path, overlap=True)

    async def act() -> None:
        before = subject.describe()["pid"]
        old = await subject.restart()
        assert old is not None
        assert old.pid == before
        assert await old.wait() == 128 + 15
        shown = subject.describe()
        assert shown["pid"] not in (None, before)
        assert (shown["restarts"], shown["metrics"]) == (0, "second")
        for turn in ("third", "first", "second"):
            await subject.restart()
            assert subject.describe()["metrics"] == turn

    with_keeper(subject, act)


def test_what_never_comes_up_is_named_with_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "_READY_WITHIN_S", 0.2)
    subject = component(tmp_path, "sh", "-c", "echo no libbpf here; exit 1")

    async def run() -> None:
        keeper = asyncio.ensure_future(subject.keep())
        try:
            await until(lambda: last_lines(tmp_path / "log"))
            subject._ready = never
            await subject.wait_ready()
        finally:
            keeper.cancel()

    async def never(_: Process) -> bool:
        return False

    with pytest.raises(NotReady, match=r"(?s)proxy on n1.*no libbpf here"):
        asyncio.run(run())


def test_the_worker_of_a_proxy_without_children_is_itself(tmp_path: Path) -> None:
    subject = component(tmp_path)

    async def act() -> None:
        shown = subject.describe()
        assert (shown["component"], shown["node"]) == ("proxy", "n1")
        assert shown["workers"] == [shown["pid"]]

    with_keeper(subject, act)
