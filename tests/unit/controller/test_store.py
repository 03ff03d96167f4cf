"""The store: all or nothing, private, one holder, and refuses what it cannot know."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from controller.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreTooNew
from controller.store import _TABLES, Store, StoredNode, StoredObject, StoredToken
from mesh.model import Revision

CREATED = ", created_s INTEGER NOT NULL DEFAULT 0"


def row(name: str, json: str = "{}") -> StoredObject:
    return StoredObject(id=("Pod", "a", name), json=json, uid="u", created="c", source="user", status_by="user")


def test_what_was_committed_is_there_after_opening_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "s" / "store.db")
    store.commit([row("one"), row("two")], [], Revision(2))
    store.commit([row("three")], [("Pod", "a", "one")], Revision(3))
    store.close()
    again = Store(tmp_path / "s" / "store.db")
    assert again.revision() == 3
    assert [(item.id[2], item.revision) for item in again.objects()] == [("three", 3), ("two", 2)]
    again.close()


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "s" / "store.db")
    store.commit([row("one")], [], Revision(2))
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "s").iterdir()}
    assert set(modes.values()) == {"0o600"}
    assert oct((tmp_path / "s").stat().st_mode & 0o777) == "0o700"
    store.close()


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    with pytest.raises(StoreBusy, match="another controller holds it"):
        Store(tmp_path / "store.db")
    store.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreTooNew, match="version 99, this controller knows 3"):
        Store(tmp_path / "store.db")


@pytest.mark.parametrize(
    ("version", "unknown", "row", "most"),
    [
        (1, f", most INTEGER NOT NULL{CREATED}", "('abcdef', 'hash', '', 100, 3)", 1),
        (2, CREATED, "('abcdef', 'hash', '', 100, 3, 7)", 7),
    ],
)
def test_tokens_of_an_older_store_are_good_for_as_many_as_then(
    tmp_path: Path, version: int, unknown: str, row: str, most: int
) -> None:
    connection = sqlite3.connect(tmp_path / "store.db")
    with connection:
        for statement in _TABLES.replace(unknown, "").split(";"):
            connection.execute(statement)
        connection.execute(f"INSERT INTO tokens VALUES {row}")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    for _ in range(2):
        store = Store(tmp_path / "store.db")
        assert store.tokens() == [
            StoredToken(name="abcdef", secret_hash="hash", node="", expires_s=100, uses=3, most=most, created_s=0)
        ]
        store.close()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreDamaged, match="is damaged"):
        Store(tmp_path / "store.db")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another --state"):
        Store(tmp_path / "file" / "store.db")


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.commit([row("one")], [], Revision(2))
    # SQLite answers as for a full disk when the file may not grow.
    with store.transaction() as cursor:
        (pages,) = cursor.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull, match="no space left; free some and try again. What is in force stays"):
        store.commit([row("two", "x" * 1_000_000)], [("Pod", "a", "one")], Revision(3))
    assert (store.revision(), [item.id[2] for item in store.objects()]) == (2, ["one"])
    store._connection.execute("PRAGMA max_page_count = 1000000")
    store.commit([row("two", "x" * 1_000_000)], [], Revision(3))
    assert store.revision() == 3
    store.close()


def test_a_revision_follows_the_one_before(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    with pytest.raises(StoreError, match="is not at revision 7"):
        store.commit([row("one")], [], Revision(8))
    assert store.objects() == []
    store.close()


def test_numbers_nodes_and_tokens_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.add_identities({"shape": 256}, {"next": 257})
    store.put_token(StoredToken(name="abc", secret_hash="h", node="", expires_s=100), now_s=1)
    store.put_node(StoredNode(name="n1", key_hash="k", joined="t"), token="abc")
    store.close()
    again = Store(tmp_path / "store.db")
    assert (again.identities(), again.counter("next", 0)) == ({"shape": 256}, 257)
    assert again.node("n1") == StoredNode(name="n1", key_hash="k", joined="t")
    assert again.token("abc") == StoredToken(name="abc", secret_hash="h", node="", expires_s=100, uses=1)
    again.forget_identities(["shape"])
    assert (again.identities(), again.counter("next", 0)) == ({}, 257)
    assert again.node("n2") is None
    again.forget_nodes(["n1", "n2"])
    assert again.nodes() == {}
    again.close()


def test_tokens_are_listed_and_deleted(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    made = [StoredToken(name=name, secret_hash="h", node=name, expires_s=100, created_s=7) for name in ("two", "one")]
    for token in made:
        store.put_token(token, now_s=7)
    assert store.tokens() == made[::-1]
    assert store.delete_token("two")
    assert not store.delete_token("two")
    store.close()
    again = Store(tmp_path / "store.db")
    assert again.tokens() == made[1:]
    again.close()


def test_expired_tokens_leave_with_the_next_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.put_token(StoredToken(name="old", secret_hash="h", node="", expires_s=100), now_s=1)
    store.put_token(StoredToken(name="new", secret_hash="h", node="", expires_s=300), now_s=200)
    assert store.token("old") is None
    assert store.token("new") is not None
    store.close()


def test_a_node_goes_with_its_object_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.put_node(StoredNode(name="n1", key_hash="k", joined="t"))
    with pytest.raises(StoreError):
        store.commit([], [("Node", "", "n1")], Revision(9), forget_nodes=["n1"])
    assert store.node("n1") is not None
    store.commit([], [("Node", "", "n1")], Revision(2), forget_nodes=["n1"])
    assert store.node("n1") is None
    store.close()
