"""One change at a time, all or nothing, and what was stored is what is in force."""

from __future__ import annotations

import asyncio
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path

import pytest

from controller.errors import NoSuchThing, StoreError
from controller.intake import Document, Intake, text_of
from controller.intent import DIRECTORY
from controller.store import Store, StoredNode
from mesh.objects.errors import ObjectsRefused
from tests.unit.controller.manifests import SHOP, namespace, pod

CIDRS = (ip_network("10.96.0.0/16"),)


def test_what_was_applied_is_read_again(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, CIDRS)
        await intake.apply([Document("a", SHOP)])
        assert intake.changed.is_set()
        before = intake.intent
        store.close()
        store = Store(tmp_path / "store.db")
        assert Intake(store, CIDRS).intent == before
        store.close()

    asyncio.run(main())


def test_a_store_that_fails_leaves_the_intent(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, CIDRS)
        before = intake.intent
        with store.transaction() as cursor:
            cursor.execute("UPDATE counters SET value = 99 WHERE name = 'revision'")
        with pytest.raises(StoreError):
            await intake.apply([Document("a", pod("web"))])
        assert intake.intent is before
        assert not intake.changed.is_set()
        store.close()

    asyncio.run(main())


def test_changes_that_come_at_once_follow_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, CIDRS)
        outcomes = await asyncio.gather(*(intake.apply([Document("a", pod(f"p-{i}"))]) for i in range(10)))
        assert sorted(outcome.revision for outcome in outcomes) == list(range(2, 12))
        assert len(intake.intent.entries) == 10
        store.close()

    asyncio.run(main())


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store(tmp_path / "store.db")
        with pytest.raises(ObjectsRefused) as refused:
            await Intake(store, CIDRS).apply([Document("a", "{"), Document("b", namespace("BAD"))])
        assert {problem.file for problem in refused.value.problems} == {"a", "b"}
        store.close()

    asyncio.run(main())


EMPTY = (Document("none.yaml", ""), Document("comment.yaml", "# nothing\n---\n"), Document("list.yaml", "kind: List"))


def test_files_without_any_object_are_refused_by_name(tmp_path: Path) -> None:
    async def main() -> None:
        with closing(Store(tmp_path / "store.db")) as store:
            intake = Intake(store, CIDRS)
            for given in (intake.apply(EMPTY[:1]), intake.delete([], documents=EMPTY[:1], ignore_missing=True)):
                with pytest.raises(ObjectsRefused) as refused:
                    await given
                assert [str(problem) for problem in refused.value.problems] == ["none.yaml: holds no object"]
            with pytest.raises(ObjectsRefused, match=r"none.yaml, comment.yaml and 1 more: hold no object"):
                await intake.apply(EMPTY)
            assert (await intake.apply([*EMPTY, Document("a", SHOP)])).changes, "one of them is enough"
            assert (await intake.apply(EMPTY, source=DIRECTORY)).changes == (), "a directory may be empty"

    asyncio.run(main())


def test_deleting_names_what_is_missing_and_what_the_directory_owns(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, CIDRS)
        with pytest.raises(NoSuchThing, match="there is no Pod default/web"):
            await intake.delete([("Pod", "default", "web")])
        await intake.apply([Document("a", pod("web"))], source=DIRECTORY)
        with pytest.raises(ObjectsRefused, match="remove it from its file"):
            await intake.delete([("Pod", "default", "web")])
        store.close()

    asyncio.run(main())


def test_names_as_messages_write_them() -> None:
    assert (text_of(("Pod", "a", "b")), text_of(("Node", "", "n"))) == ("Pod a/b", "Node n")


def test_what_is_passed_by_is_told_and_not_kept(tmp_path: Path) -> None:
    secret = "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {key: aHVudGVyMg==}}"
    told = ("m: Secret: passed by, weft has no use for it (2 objects)",)

    async def main() -> None:
        with closing(Store(tmp_path / "store.db")) as store:
            intake = Intake(store, CIDRS)
            given = [Document("m/a.yaml", f"{secret}\n---\n{namespace('n')}"), Document("m/b.yaml", secret)]
            done = await intake.apply(given)
            assert tuple(map(str, done.warnings)) == told
            assert list(intake.intent.entries) == [("Namespace", "", "n")]
            gone = await intake.delete([], documents=given)
            assert tuple(map(str, gone.warnings)) == told
        assert b"aHVudGVyMg" not in (tmp_path / "store.db").read_bytes()

    asyncio.run(main())


NODE = "{apiVersion: v1, kind: Node, metadata: {name: node-a}, status: {addresses: []}}"


def test_a_deleted_node_loses_its_key_with_its_object_or_neither(tmp_path: Path) -> None:
    """A crash between the two would let a node that was sent away come back with its key."""

    async def main() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, CIDRS)
        await intake.apply([Document("a", NODE)])
        store.put_node(StoredNode(name="node-a", key_hash="k", joined="t"))
        with store.transaction() as cursor:
            cursor.execute("CREATE TRIGGER broken BEFORE DELETE ON nodes BEGIN SELECT RAISE(ABORT, 'disk'); END")
        with pytest.raises(StoreError):
            await intake.delete([("Node", "", "node-a")])
        assert ("Node", "", "node-a") in intake.intent.entries
        assert len(store.objects()) == 1
        with store.transaction() as cursor:
            cursor.execute("DROP TRIGGER broken")
        outcome = await intake.delete([("Node", "", "node-a")])
        assert outcome.forgotten == ("node-a",)
        assert (store.objects(), store.nodes()) == ([], {})
        store.close()

    asyncio.run(main())


def test_a_node_that_joined_is_there_even_without_an_object(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store(tmp_path / "store.db")
        intake = Intake(store, CIDRS)
        store.put_node(StoredNode(name="node-a", key_hash="k", joined="t"))
        outcome = await intake.delete([("Node", "", "node-a")])
        assert (outcome.revision, outcome.forgotten) == (1, ("node-a",))
        assert [(change.verb, change.id) for change in outcome.changes] == [("deleted", ("Node", "", "node-a"))]
        assert store.nodes() == {}
        with pytest.raises(NoSuchThing, match="Node node-a"):
            await intake.delete([("Node", "", "node-a")])
        store.close()

    asyncio.run(main())
