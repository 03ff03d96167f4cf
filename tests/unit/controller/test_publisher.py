"""From intent to view: coalesced, and a build that fails leaves the view before it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from controller import publisher as publisher_module
from controller.identities import Numbers
from controller.intake import Document, Intake
from controller.publisher import Publisher
from controller.store import Store
from controller.telemetry import Telemetry
from mesh.policy.cluster import ClusterPolicy
from tests.support.waiting import LONGEST_S, until
from tests.unit.controller.manifests import SHOP, pod


def play(tmp_path: Path, script: Callable[[Intake, Publisher, list[int]], Awaitable[None]]) -> None:
    async def main() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, (ip_network("10.96.0.0/16"),))
        publisher = Publisher(intake, Numbers(store), Telemetry())
        seen: list[int] = []
        publisher.on_view(lambda: seen.append(publisher.view.revision if publisher.view else 0))
        task = asyncio.create_task(publisher.run())
        await asyncio.wait_for(publisher.tried.wait(), LONGEST_S)
        await script(intake, publisher, seen)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        store.close()

    asyncio.run(main())


def test_each_intent_becomes_a_view_and_changes_during_a_build_become_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun, go_on = publisher_module.build, threading.Event(), threading.Event()

    def slow(*given: Any, **more: Any) -> ClusterPolicy:
        begun.set()
        go_on.wait(LONGEST_S)
        return real(*given, **more)

    async def script(intake: Intake, publisher: Publisher, seen: list[int]) -> None:
        monkeypatch.setattr(publisher_module, "build", slow)
        await intake.apply([Document("a", SHOP)])
        await until(begun.is_set)
        await asyncio.gather(*(intake.apply([Document("a", pod(f"p-{i}"))]) for i in range(20)))
        go_on.set()
        await until(lambda: publisher.view is not None and publisher.view.revision == 22)
        assert seen == [1, 2, 22]

    play(tmp_path, script)


def test_a_build_that_fails_is_reported_and_the_view_before_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(intake: Intake, publisher: Publisher, seen: list[int]) -> None:
        real = publisher_module.build

        def fails(*_: object, **__: object) -> None:
            raise RuntimeError("a rule too many")

        monkeypatch.setattr(publisher_module, "build", fails)
        await intake.apply([Document("a", pod("web"))])
        await until(lambda: publisher.failure is not None)
        assert publisher.failure is not None
        assert (publisher.failure.revision, publisher.failure.reason) == (2, "RuntimeError: a rule too many")
        assert publisher.view is not None
        assert publisher.view.revision == 1
        monkeypatch.setattr(publisher_module, "build", real)
        await intake.apply([Document("a", pod("other"))])
        await until(lambda: publisher.failure is None)
        assert publisher.view.revision == 3

    play(tmp_path, script)
