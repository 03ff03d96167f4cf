"""The intent: every object that is in force, under one revision. Immutable; a change makes a new one.

Pure. `controller.intake` holds the newest and is the only one who replaces it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.errors import NoSuchThing, StoreDamaged
from controller.store import ObjectId, StoredObject
from mesh.model import Revision
from mesh.objects.kinds import Object, from_document

USER, DIRECTORY, KUBELET = "user", "directory", "kubelet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An object, and what the controller knows about it besides."""

    object: Object
    source: str
    """Who manages it: user, directory or kubelet."""
    status_by: str
    """Who wrote its status: user or kubelet."""
    revision: Revision = Revision(0)
    """The one that changed it last."""

    def document(self) -> dict[str, Any]:
        """As `get -o json` shows it."""
        document = dict(self.object.document)
        document["metadata"] = {**document["metadata"], "resourceVersion": str(self.revision)}
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    revision: Revision = Revision(0)
    entries: Mapping[ObjectId, Entry] = field(default_factory=dict)

    def objects(self) -> Iterable[Object]:
        return (entry.object for entry in self.entries.values())

    def of_kind(self, kind: str) -> Iterable[Entry]:
        return (entry for (found, _, _), entry in self.entries.items() if found == kind)

    def find(self, kinds: Sequence[str], namespace: str | None, name: str) -> list[Entry]:
        """In the order of `kinds`, then by name. `namespace` None: of all; `name` empty: any, else NoSuchThing."""
        found = [
            entry
            for (kind, where, called), entry in self.entries.items()
            if kind in kinds and (namespace is None or where in ("", namespace)) and name in ("", called)
        ]
        if name and not found:
            place = f" in namespace {namespace}" if namespace is not None else ""
            raise NoSuchThing(f"there is no {'/'.join(kinds)} {name}{place}")
        return sorted(found, key=lambda entry: (kinds.index(entry.object.kind), entry.object.key))

    def changed(self, revision: Revision, put: Iterable[Entry], remove: Iterable[ObjectId]) -> Intent:
        """The intent after a change."""
        entries = dict(self.entries)
        for key in remove:
            del entries[key]
        for entry in put:
            entries[object_id(entry.object)] = entry
        return Intent(revision=revision, entries=entries)


def object_id(item: Object) -> ObjectId:
    return item.kind, item.metadata.namespace, item.metadata.name


def to_row(entry: Entry) -> StoredObject:
    """The row that keeps an entry."""
    metadata = entry.object.document["metadata"]
    return StoredObject(
        id=object_id(entry.object),
        json=json.dumps(entry.object.document, separators=(",", ":"), sort_keys=True),
        uid=entry.object.metadata.uid,
        created=str(metadata.get("creationTimestamp", "")),
        source=entry.source,
        status_by=entry.status_by,
    )


def from_row(row: StoredObject) -> Entry:
    """The entry that a row keeps. ObjectsRefused where this version would not take the object."""
    try:
        document = json.loads(row.json)
    except ValueError as error:
        name = "/".join(part for part in row.id if part)
        raise StoreDamaged(f"the store's row of {name} is damaged ({error}): restore store.db from a copy") from error
    return Entry(
        object=from_document(document, "store"),
        source=row.source,
        status_by=row.status_by,
        revision=row.revision,
    )
