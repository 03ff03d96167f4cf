"""Takes objects in: documents -> parse -> door -> store -> intent. The only place that changes the intent.

One change at a time, all or nothing: whatever goes wrong before the store has committed leaves the intent as it was.
Called by the admin API and the directory source; `changed` tells the publisher that there is a new revision.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from controller.admission import Admission, Change, Rules, admit, removal
from controller.errors import NoSuchThing
from controller.intent import DIRECTORY, USER, Entry, Intent, from_row, object_id, to_row
from controller.store import ObjectId, Store
from controller.watches import Event, Watches
from mesh.model import Prefix, Revision
from mesh.objects import otherkinds
from mesh.objects.documents import Manifest, read_all, refuse_nothing
from mesh.objects.errors import ObjectsRefused, Problem
from mesh.objects.kinds import Object


@dataclass(frozen=True, slots=True)
class Document:
    """A text and where it came from."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change did. The revision is the one that is in force afterwards."""

    revision: Revision
    changes: tuple[Change, ...]
    warnings: tuple[Problem, ...]
    forgotten: tuple[str, ...] = ()
    """Nodes whose keys count no longer: who was deleted has to join again."""


class Intake:
    def __init__(
        self,
        store: Store,
        service_cidrs: tuple[Prefix, ...],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uid: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        """Reads what the store holds. Raises StoreError or ObjectsRefused."""
        self._store = store
        self._cidrs = service_cidrs
        self._now = now
        self._new_uid = new_uid
        self._turn = asyncio.Lock()
        entries = [from_row(row) for row in store.objects()]
        self.intent = Intent(revision=store.revision(), entries={object_id(entry.object): entry for entry in entries})
        self.watches = Watches()
        self.changed = asyncio.Event()

    async def apply(
        self, documents: Sequence[Document], *, source: str = USER, dry_run: bool = False, prune: bool = False
    ) -> Outcome:
        """Put all objects of the documents. With `prune`, objects of the same source that are not given are deleted.

        Raises ObjectsRefused (nothing changed) or StoreError (nothing changed).
        """
        given = await _read(documents, may_be_nothing=source != USER)
        async with self._turn:
            intent = self.intent
            rules = Rules(
                service_cidrs=self._cidrs, new_uid=self._new_uid, now=self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
            )
            # In a thread: checking the references of a big cluster takes longer than a stream should wait.
            outcome = await asyncio.to_thread(_admit, intent, given.objects, rules, source, prune)
            outcome.warnings += otherkinds.warnings(given.passed_by)
            return self._commit(outcome, dry_run=dry_run)

    async def delete(
        self, ids: Sequence[ObjectId], *, documents: Sequence[Document] = (), ignore_missing: bool = False
    ) -> Outcome:
        """Delete objects by name, and those that the documents name. NoSuchThing where one is not there.

        A node goes with its key, in one transaction, or it could come back with it. One that has joined is there, even
        if nobody made an object for it.
        """
        given = await _read(documents)
        named = [*ids, *(object_id(item) for item in given.objects)]
        async with self._turn:
            nodes = tuple(dict.fromkeys(name for kind, _, name in named if kind == "Node" and self._store.node(name)))
            missing = [key for key in named if key not in self.intent.entries and not _is_node(key, nodes)]
            if missing and not ignore_missing:
                raise NoSuchThing("; ".join(f"there is no {text_of(key)}" for key in missing[:20]))
            kept = [key for key in named if key in self.intent.entries]
            owned = [key for key in kept if self.intent.entries[key].source == DIRECTORY]
            if owned:
                reason = "is managed by the directory that this controller follows; remove it from its file"
                raise ObjectsRefused([Problem("", text_of(key), "", reason) for key in owned])
            outcome = await asyncio.to_thread(removal, self.intent, kept)
            outcome.warnings += otherkinds.warnings(given.passed_by)
            outcome.changes += [
                Change("deleted", key) for key in dict.fromkeys(named) if key not in kept and _is_node(key, nodes)
            ]
            return self._commit(outcome, forget=nodes)

    def _commit(self, outcome: Admission, *, dry_run: bool = False, forget: tuple[str, ...] = ()) -> Outcome:
        if outcome.problems:
            raise ObjectsRefused(outcome.problems)
        revision = self.intent.revision
        if (outcome.put or outcome.remove) and not dry_run:
            revision = Revision(revision + 1)
            put = [
                Entry(object=entry.object, source=entry.source, status_by=entry.status_by, revision=revision)
                for entry in outcome.put
            ]
            self._store.commit([to_row(entry) for entry in put], outcome.remove, revision, forget_nodes=forget)
            before = self.intent
            self.intent = before.changed(revision, put, outcome.remove)
            for key in outcome.remove:
                self.watches.publish(key, Event(removed=True, entry=before.entries[key], revision=revision))
            for entry in put:
                self.watches.publish(object_id(entry.object), Event(removed=False, entry=entry, revision=revision))
            self.changed.set()
        elif forget:
            self._store.forget_nodes(forget)
        return Outcome(revision, tuple(outcome.changes), tuple(outcome.warnings), forget)


async def _read(documents: Sequence[Document], *, may_be_nothing: bool = False) -> Manifest:
    found = await asyncio.to_thread(read_all, [(one.file, one.text) for one in documents])
    return found if may_be_nothing or not documents else refuse_nothing(found, [one.file for one in documents])


def _is_node(key: ObjectId, nodes: tuple[str, ...]) -> bool:
    return key[0] == "Node" and key[2] in nodes


def text_of(key: ObjectId) -> str:
    """`Kind namespace/name`, as messages write it."""
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _admit(intent: Intent, given: Sequence[Object], rules: Rules, source: str, prune: bool) -> Admission:
    gone: Admission | None = None
    if prune:
        names = {object_id(item) for item in given}
        vanished = [key for key, entry in intent.entries.items() if entry.source == source and key not in names]
        if vanished:
            gone = removal(intent, vanished)
            # A Namespace that vanished takes along what others put into it, but not what is given anew.
            gone.remove = [key for key in gone.remove if key not in names]
            gone.changes = [change for change in gone.changes if change.id not in names]
            intent = intent.changed(intent.revision, (), gone.remove)
    outcome = admit(intent, given, rules, source=source)
    if gone is not None:
        outcome.remove += gone.remove
        outcome.changes += gone.changes
        outcome.warnings += gone.warnings
    return outcome
