"""The directory source: what its files say is in force; on a fault the last good state stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path

from controller.directory import DirectorySource
from controller.intake import Document, Intake
from controller.store import Store
from controller.telemetry import Telemetry
from tests.unit.controller.manifests import POLICY, SHOP, namespace, pod, service


def play(tmp_path: Path, script: Callable[[DirectorySource, Intake, Path], Awaitable[None]]) -> None:
    async def main() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, (ip_network("10.96.0.0/16"),))
        folder = tmp_path / "manifests"
        folder.mkdir()
        await script(DirectorySource(folder, intake, Telemetry()), intake, folder)
        store.close()

    asyncio.run(main())


def names(intake: Intake) -> set[str]:
    return {f"{kind}/{name}" for kind, _, name in intake.intent.entries}


def test_files_come_change_and_go(tmp_path: Path) -> None:
    async def script(source: DirectorySource, intake: Intake, folder: Path) -> None:
        (folder / "shop.yaml").write_text(SHOP)
        (folder / "sub").mkdir()
        (folder / "sub" / "policy.yml").write_text(POLICY)
        (folder / ".hidden.yaml").write_text("garbage: [")
        (folder / "README.md").write_text("not a manifest")
        assert await source.look() is not None
        assert {"Pod/pay", "MeshPolicy/pay"} <= names(intake)
        assert await source.look() is None
        (folder / "sub" / "policy.yml").unlink()
        await source.look()
        assert "MeshPolicy/pay" not in names(intake)
        assert "Pod/pay" in names(intake)

    play(tmp_path, script)


def test_a_fault_keeps_the_last_good_state_until_the_files_are_right(tmp_path: Path) -> None:
    async def script(source: DirectorySource, intake: Intake, folder: Path) -> None:
        (folder / "a.yaml").write_text(pod("web"))
        await source.look()
        before = intake.intent
        (folder / "b.yaml").write_text(service("s", ports=[{"port": 70000}]))
        assert await source.look() is None
        assert intake.intent is before
        (problem,) = source.problems
        assert (problem.file, problem.object, problem.field) == (
            str(folder / "b.yaml"),
            "Service default/s",
            "spec.ports[0].port",
        )
        assert "70000" in problem.reason
        (folder / "b.yaml").unlink()
        await source.look()
        assert source.problems == ()

    play(tmp_path, script)


def test_what_users_applied_is_not_the_directorys_to_delete(tmp_path: Path) -> None:
    async def script(source: DirectorySource, intake: Intake, folder: Path) -> None:
        await intake.apply([Document("x", pod("mine"))])
        (folder / "a.yaml").write_text(pod("theirs"))
        await source.look()
        (folder / "a.yaml").write_text(namespace("n"))
        await source.look()
        assert names(intake) == {"Pod/mine", "Namespace/n"}

    play(tmp_path, script)


def test_a_directory_that_is_missing_or_unreadable_is_named(tmp_path: Path) -> None:
    async def script(source: DirectorySource, intake: Intake, folder: Path) -> None:
        (folder / "a.yaml").write_bytes(b"\xff\xfe")
        await source.look()
        assert "is not UTF-8 text" in str(source.problems[0])
        (folder / "a.yaml").unlink()
        folder.rmdir()
        await source.look()
        assert "is not a directory" in str(source.problems[0])
        folder.mkdir()
        await source.look()
        assert source.problems == ()

    play(tmp_path, script)


def test_after_a_restart_the_directory_still_owns_what_it_brought(tmp_path: Path) -> None:
    async def first(source: DirectorySource, intake: Intake, folder: Path) -> None:
        (folder / "a.yaml").write_text(pod("web"))
        await source.look()

    play(tmp_path, first)

    async def second() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, (ip_network("10.96.0.0/16"),))
        (tmp_path / "manifests" / "a.yaml").unlink()
        await DirectorySource(tmp_path / "manifests", intake, Telemetry()).look()
        assert names(intake) == set()
        store.close()

    asyncio.run(second())
