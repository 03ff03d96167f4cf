"""The controller's memory: a SQLite file with every object, the numbers of identities, the nodes and the join tokens.

Each change is one transaction, so that a crash or a full disk leaves the state before it. The file carries the version
of its tables; a newer one is refused. One process holds it at a time. Called from the event loop:
transactions are short.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreTooNew
from mesh.model import Revision

SCHEMA_VERSION = 3
_TABLES = """
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
    kind TEXT, namespace TEXT, name TEXT, json TEXT NOT NULL, uid TEXT NOT NULL, created TEXT NOT NULL,
    revision INTEGER NOT NULL, source TEXT NOT NULL, status_by TEXT NOT NULL, PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;
CREATE TABLE identities (shape TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE nodes (name TEXT PRIMARY KEY, key_hash TEXT NOT NULL, joined TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (
    name TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, node TEXT NOT NULL, expires_s INTEGER NOT NULL,
    uses INTEGER NOT NULL, most INTEGER NOT NULL, created_s INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- The empty intent is revision 1: an agent that says 0 holds nothing.
INSERT INTO counters VALUES ('revision', 1);
"""

_TOKEN = "name, secret_hash, node, expires_s, uses, most, created_s"

ObjectId = tuple[str, str, str]
"""Kind, namespace (empty for kinds of the cluster), name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One row of `objects`."""

    id: ObjectId
    json: str
    uid: str
    created: str
    source: str
    """Who manages it: user, directory or kubelet."""
    status_by: str
    """Who wrote its status: user or kubelet."""
    revision: Revision = Revision(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNode:
    """A node that has joined. The hash is that of its public key."""

    name: str
    key_hash: str
    joined: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A join token; of its secret only the hash is kept."""

    name: str
    secret_hash: str
    node: str
    """Empty: good for any node."""
    expires_s: int
    uses: int = 0
    """Nodes that have joined with it."""
    most: int = 1
    """How many may."""
    created_s: int = 0
    """0 where an older version made it, which did not note it."""


class Store:
    """An open store. Every method that changes something is all or nothing."""

    def __init__(self, path: Path) -> None:
        """Open or make the store at `path`. Raises StoreError with what to do."""
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made before SQLite touches it, so that it is never readable for others; its journal inherits the mode.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"store {path}: {error.strerror}; choose another --state or make it writable") from error
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.5)
        try:
            with self._explained():
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._connection.execute("PRAGMA journal_mode = WAL")
                # FULL: a number that was given to an identity must not be forgotten when the power fails.
                self._connection.execute("PRAGMA synchronous = FULL")
                self._create_or_check()
        except StoreError:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def _create_or_check(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreTooNew(
                f"store {self._path} has tables of version {version}, this controller knows {SCHEMA_VERSION}: "
                "start the version that wrote it, or another --state"
            )
        with self.transaction() as cursor:
            if version == 0:
                for statement in _TABLES.split(";"):
                    cursor.execute(statement)
            if version == 1:  # tokens that named no node were good for many
                cursor.execute("ALTER TABLE tokens ADD COLUMN most INTEGER NOT NULL DEFAULT 1")
            if version in (1, 2):
                cursor.execute("ALTER TABLE tokens ADD COLUMN created_s INTEGER NOT NULL DEFAULT 0")
            cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's errors in the operator's words."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            where = f"store {self._path}"
            if code == sqlite3.SQLITE_FULL:
                raise StoreFull(f"{where}: no space left; free some and try again. What is in force stays") from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreBusy(f"{where}: another controller holds it; stop it, or choose another --state") from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise StoreDamaged(f"{where} is damaged ({error}): restore it, or choose another --state") from error
            raise StoreError(f"{where}: {error}. What is in force stays") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """All that is done with the cursor, or nothing of it."""
        with self._explained():
            cursor = self._connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            finally:
                cursor.close()

    # ---- objects -------------------------------------------------------------------------------------------------

    def revision(self) -> Revision:
        with self._explained():
            (value,) = self._connection.execute("SELECT value FROM counters WHERE name = 'revision'").fetchone()
        return Revision(value)

    def objects(self) -> list[StoredObject]:
        with self._explained():
            rows = self._connection.execute(
                "SELECT kind, namespace, name, json, uid, created, source, status_by, revision FROM objects"
            ).fetchall()
        return [
            StoredObject(
                id=(row[0], row[1], row[2]),
                json=row[3],
                uid=row[4],
                created=row[5],
                source=row[6],
                status_by=row[7],
                revision=Revision(row[8]),
            )
            for row in rows
        ]

    def commit(
        self,
        put: Iterable[StoredObject],
        remove: Iterable[ObjectId],
        revision: Revision,
        *,
        forget_nodes: Iterable[str] = (),
    ) -> None:
        """Make `revision` of the one before it. The rows are stamped with it; nodes are forgotten with their keys."""
        with self.transaction() as cursor:
            cursor.executemany(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*item.id, item.json, item.uid, item.created, revision, item.source, item.status_by) for item in put],
            )
            cursor.executemany("DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", list(remove))
            _forget(cursor, forget_nodes)
            cursor.execute(
                "UPDATE counters SET value = ? WHERE name = 'revision' AND value = ?", (revision, revision - 1)
            )
            if cursor.rowcount != 1:
                raise StoreError(f"store {self._path} is not at revision {revision - 1}: another process changed it")

    # ---- identities ----------------------------------------------------------------------------------------------

    def identities(self) -> dict[str, int]:
        """Shape -> number, of all shapes that were ever numbered and not forgotten."""
        with self._explained():
            return dict(self._connection.execute("SELECT shape, number FROM identities").fetchall())

    def counter(self, name: str, default: int) -> int:
        with self._explained():
            row = self._connection.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else default

    def add_identities(self, numbers: Mapping[str, int], counters: Mapping[str, int]) -> None:
        with self.transaction() as cursor:
            cursor.executemany("INSERT INTO identities VALUES (?, ?)", list(numbers.items()))
            cursor.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?)", list(counters.items()))

    def forget_identities(self, shapes: Iterable[str]) -> None:
        """Drop shapes nobody uses. Their numbers stay spent: the counters only grow."""
        with self.transaction() as cursor:
            cursor.executemany("DELETE FROM identities WHERE shape = ?", [(shape,) for shape in shapes])

    # ---- nodes and tokens ----------------------------------------------------------------------------------------

    def nodes(self) -> dict[str, StoredNode]:
        with self._explained():
            rows = self._connection.execute("SELECT name, key_hash, joined FROM nodes").fetchall()
        return {row[0]: StoredNode(name=row[0], key_hash=row[1], joined=row[2]) for row in rows}

    def node(self, name: str) -> StoredNode | None:
        with self._explained():
            row = self._connection.execute("SELECT key_hash, joined FROM nodes WHERE name = ?", (name,)).fetchone()
        return StoredNode(name=name, key_hash=row[0], joined=row[1]) if row else None

    def put_node(self, node: StoredNode, *, token: str = "") -> None:
        """Register a node, and count the use of the token that it came with."""
        with self.transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?)", (node.name, node.key_hash, node.joined))
            cursor.execute("UPDATE tokens SET uses = uses + 1 WHERE name = ?", (token,))

    def forget_nodes(self, names: Iterable[str]) -> None:
        """Nodes without an object; with one, `commit` takes both."""
        with self.transaction() as cursor:
            _forget(cursor, names)

    def token(self, name: str) -> StoredToken | None:
        with self._explained():
            row = self._connection.execute(f"SELECT {_TOKEN} FROM tokens WHERE name = ?", (name,)).fetchone()
        return None if row is None else _to_token(row)

    def tokens(self) -> list[StoredToken]:
        """By name. One that has expired stands here until the next one is made."""
        with self._explained():
            return [_to_token(row) for row in self._connection.execute(f"SELECT {_TOKEN} FROM tokens ORDER BY name")]

    def delete_token(self, name: str) -> bool:
        """Whether it was there."""
        with self.transaction() as cursor:
            return cursor.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount > 0

    def put_token(self, token: StoredToken, *, now_s: int) -> None:
        """Add a token; those that have expired leave."""
        with self.transaction() as cursor:
            cursor.execute("DELETE FROM tokens WHERE expires_s <= ?", (now_s,))
            cursor.execute(
                f"INSERT INTO tokens ({_TOKEN}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (token.name, token.secret_hash, token.node, token.expires_s, token.uses, token.most, token.created_s),
            )


def _to_token(row: tuple[Any, ...]) -> StoredToken:
    name, secret_hash, node, expires_s, uses, most, created_s = row
    return StoredToken(
        name=name, secret_hash=secret_hash, node=node, expires_s=expires_s, uses=uses, most=most, created_s=created_s
    )


def _forget(cursor: sqlite3.Cursor, nodes: Iterable[str]) -> None:
    cursor.executemany("DELETE FROM nodes WHERE name = ?", [(name,) for name in nodes])
