"""Makes the kernel's maps agree with what they should hold. The only writer of the maps; called from one thread.

`prepare` compares (`plan`), `execute` writes in order and keeps a mirror. A step that fails takes back those before it
in reverse order, hooks included, so what was in force stays in force, and the error says why. Where taking back fails
as well, a plan that was carried out up to some step is left, which is safe (make before break), and `astray` says so:
the maps are then read again before the next plan. What nobody uses any more is deleted by `sweep` after a grace. It
never decides about policy and knows no clock but the `now` it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.datapath.interface import Datapath, DatapathError, MapFull
from agent.datapath.tables import EndpointEntry, NodeConfig
from agent.desired import Desired
from agent.plan import EPOCH_MASK, Hooks, Plan, Step, plan
from agent.policypages import rules_of
from agent.policysets import keys_of
from agent.realized import TABLES, Realized
from mesh.model import Address, PolicyKey, PolicySet

SET_GRACE_S = 2.0
"""Longer than any packet can be between reading an endpoint's set number and looking the set up."""
BACKEND_GRACE_S = 1.0
EXPLAIN_S = 120.0
"""How long the policy behind a set number is remembered after the set was left: its events may still come."""
RESERVE = 256

Done = tuple[Step | Hooks, dict[Any, Any]]
"""A step that was begun, and what was there before: values by key, or kinds of hooks by interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What `execute` did."""

    changed: bool
    flipped: frozenset[int]
    removed: frozenset[int]
    departed: frozenset[Address]
    set_numbers: Mapping[PolicyKey, int]


class Reconciler:
    def __init__(
        self,
        datapath: Datapath,
        config: NodeConfig,
        *,
        first_epoch: Callable[[], int],
        interface_exists: Callable[[int], bool],
        next_set: int = 1,
        reserve: Callable[[int], None] = lambda number: None,
    ) -> None:
        """`next_set` and `reserve`: set numbers below the reserved one may have been used by an earlier process."""
        self._datapath = datapath
        self._tables = datapath.tables
        self._config = config
        self._configured: NodeConfig | None = None
        self._first_epoch = first_epoch
        self._first_unseen = 0
        """No flow of a pod whose arrival was undone bears this epoch, or a later one."""
        self._interface_exists = interface_exists
        self._next_set = next_set
        self._reserved = next_set
        self._reserve = reserve
        self._unused_sets: dict[int, float] = {}
        self._unused_backends: dict[int, float] = {}
        self._ghosts: set[int] = set()
        self._explain: dict[tuple[int, int], PolicySet] = {}
        self._explain_until: dict[tuple[int, int], float] = {}
        self.realized = Realized()
        self.astray = ""
        """Why the maps may hold something else than what is in force; empty where they do not."""

    def read_back(self) -> None:
        """Take what the kernel holds as the starting point: a restart of the agent changes nothing."""
        realized = Realized(hooks=self.realized.hooks, guests=self.realized.guests)
        for name in (*TABLES, "policy"):
            for key, value in self._table(name).items():
                realized.put(name, key, value)
        self.realized = realized
        used = {entry.policy_set for entry in realized.endpoint.values()}
        self._next_set = max(self._next_set, *used, *realized.sets, 0) + (1 if used or realized.sets else 0)

    def policy_of(self, set_number: int, endpoint: int) -> PolicySet | None:
        """An endpoint's policy behind a set number, for explaining events: equal sets may have different reasons."""
        return self._explain.get((set_number, endpoint))

    def configure(self, flags: int) -> None:
        config = replace(self._config, flags=flags)
        if config != self._configured:
            self._datapath.configure(config)
            self._configured = config

    def prepare(self, want: Desired) -> Plan:
        """What has to be written for `want`; nothing is. MapFull where it cannot fit."""
        if self.astray:
            self.read_back()
        todo = plan(
            want,
            self.realized,
            next_set=self._next_set,
            first_epoch=max(self._first_epoch(), self._first_unseen),
            backend_capacity=self._tables.backend.max_entries,
            ghosts=frozenset(self._ghosts),
        )
        self._check_room(todo)
        return todo

    def execute(self, todo: Plan, want: Desired, now: float) -> Outcome:
        """Carry out a plan made for `want` just before. On an error nothing has changed, or `astray` says otherwise."""
        if todo.next_set > self._reserved:
            beyond = todo.next_set + RESERVE
            self._reserve(beyond)
            self._reserved = beyond
        self._next_set = todo.next_set
        self._write(todo, want.config_flags)
        self.astray = ""
        self._remember(todo, want, now)
        return Outcome(
            changed=bool(todo.steps),
            flipped=todo.flipped,
            removed=todo.removed,
            departed=todo.departed,
            set_numbers=todo.set_numbers,
        )

    def sweep(self, now: float) -> int:
        """Delete sets and backends that have been out of use for longer than their grace; returns how many."""
        sets = [n for n, since in self._unused_sets.items() if now - since >= SET_GRACE_S]
        for number in sets:
            self._ghosts.add(number)
            keys = [
                key
                for identity, part in self.realized.sets.get(number, {}).items()
                for key in reversed(keys_of(number, identity, part))
            ]
            self._delete("policy", keys)
            del self._unused_sets[number]
            self._ghosts.discard(number)
        backends = [n for n, since in self._unused_backends.items() if now - since >= BACKEND_GRACE_S]
        if backends:
            self._delete("backend", backends)
            for number in backends:
                del self._unused_backends[number]
        for pair in [pair for pair, until in self._explain_until.items() if now >= until]:
            del self._explain_until[pair]
            self._explain.pop(pair, None)
        return len(sets) + len(backends)

    def sweep_due(self) -> bool:
        return bool(self._unused_sets or self._unused_backends or self._explain_until)

    def rules_in_use(self) -> set[int]:
        """Numbers of rule sets that map entries carry."""
        pages = {page for parts in self.realized.sets.values() for part in parts.values() for page in part.values()}
        return set().union(*map(rules_of, pages))

    def _table(self, name: str) -> Any:
        return getattr(self._tables, name)

    def _check_room(self, todo: Plan) -> None:
        """A change that cannot fit is refused before its first write."""
        grown: dict[str, int] = {}
        for step in todo.steps:
            if isinstance(step, Step):
                new = sum(1 for key in step.put if self.realized.get(step.table, key) is None)
                grown[step.table] = grown.get(step.table, 0) + new
        for name, new in grown.items():
            size, room = self.realized.size(name), self._table(name).max_entries
            if new and size + new > room:
                raise MapFull(
                    f"map {name} holds {size} of {room} entries and {new} more are needed: what was in force stays. "
                    f"Fewer policies, pods or services on this node, or a larger map (agent --map-entries "
                    f"{name}=N), are needed"
                )

    def _write(self, todo: Plan, flags: int) -> None:
        done: list[Done] = []
        try:
            for step in todo.steps:
                if isinstance(step, Hooks):
                    done.append((step, self._hooks_before(step)))
                    self._hooks(step)
                    continue
                done.append((step, {key: self.realized.get(step.table, key) for key in (*step.put, *step.delete)}))
                self._put(step.table, step.put)
                self._delete(step.table, list(step.delete))
            self.configure(flags)
        except Exception as error:
            self._take_back(done, error)
            raise

    def _take_back(self, done: list[Done], error: Exception) -> None:
        """Raises, and leaves word in `astray`, where that fails too: what is left then is the plan up to some step."""
        self._configured = None  # not known for certain: written again next time
        before = self.astray
        self.astray = f"{error}; and what was in force could not be brought back"
        try:
            self._undo(done)
        except DatapathError as again:
            self.astray = f"{self.astray}: {again}"
            raise DatapathError(self.astray) from error
        self.astray = before  # an attempt at bringing the maps back that was taken back itself has mended nothing

    def _undo(self, done: list[Done]) -> None:
        """An epoch that packets may have seen is not given twice: flows of that moment must be asked again, too. What
        the kernel took of a write that failed is not known, so what was asked for counts."""
        writes = [step for step, _ in done if isinstance(step, Step) and step.table == "endpoint"]
        given = {n: entry.epoch for step in writes for n, entry in step.put.items()}
        self._first_unseen = max([self._first_unseen, *((epoch + 1) & EPOCH_MASK for epoch in given.values())])
        for step, before in reversed(done):
            if isinstance(step, Hooks):
                self._hang(before)
                continue
            was = {key: value for key, value in reversed(before.items()) if value is not None}
            if step.table == "endpoint":
                was = {n: _beyond(entry, given.get(n, entry.epoch)) for n, entry in was.items()}
            self._put(step.table, was)
            self._delete(step.table, [key for key in reversed(before) if before[key] is None])

    def _hooks_before(self, step: Hooks) -> dict[int, str]:
        """What hangs on each interface. After a restart nobody knows: who has an entry, and is to be no pod any more,
        counts as one, for it must not be left open."""
        pods = self.realized.hooks | (self.realized.endpoint_by_ifindex.keys() - set(step.attach))
        before = {ifindex: "pod" if ifindex in pods else "" for ifindex in (*step.attach, *step.guests, *step.detach)}
        return before | dict.fromkeys(before.keys() & self.realized.guests, "guest")

    def _hang(self, before: Mapping[int, str]) -> None:
        """Hooks as they were. Where there were none they stay until the next plan: without entries they let nothing
        pass. What fails here is in the mirror already, so `heal` finds it missing."""
        hooks, guests = self.realized.hooks, self.realized.guests
        pods = [ifindex for ifindex, was in before.items() if was == "pod"]
        others = [ifindex for ifindex, was in before.items() if was == "guest"]
        hooks |= set(pods)
        hooks -= set(others)
        guests |= set(others)
        guests -= set(pods)
        self._hooks(Hooks(attach=tuple(pods), guests=tuple(others)))

    def _put(self, name: str, entries: Mapping[Any, Any]) -> None:
        if not entries:
            return
        self._table(name).put_many(entries)
        for key, value in entries.items():
            self.realized.put(name, key, value)

    def _delete(self, name: str, keys: list[Any]) -> None:
        if not keys:
            return
        self._table(name).delete_many(keys)
        for key in keys:
            self.realized.delete(name, key)

    def _hooks(self, step: Hooks) -> None:
        """An interface that has gone takes its hooks along, but not what the datapath knows of it; `heal` finds it."""
        hooks, guests = self.realized.hooks, self.realized.guests
        for ifindex in step.attach:
            if self._attached(self._datapath.attach_pod, ifindex):
                hooks.add(ifindex)
                guests.discard(ifindex)
        for ifindex in step.guests:
            if self._attached(self._datapath.attach_guest, ifindex):
                guests.add(ifindex)
                hooks.discard(ifindex)
        for ifindex in step.detach:
            self._datapath.detach_pod(ifindex)
            hooks.discard(ifindex)
            guests.discard(ifindex)

    def _attached(self, attach: Callable[[int], None], ifindex: int) -> bool:
        try:
            attach(ifindex)
        except DatapathError:
            if self._interface_exists(ifindex):
                raise
            return False
        return True

    def _remember(self, todo: Plan, want: Desired, now: float) -> None:
        self._unused_sets = {n: self._unused_sets.get(n, now) for n in todo.unused_sets}
        self._unused_backends = {n: self._unused_backends.get(n, now) for n in todo.unused_backends}
        meant = {
            (todo.set_numbers[endpoint.policy], number): want.policies[endpoint.policy]
            for number, endpoint in want.endpoints.items()
            if endpoint.policy is not None
        }
        self._explain |= meant
        for pair in self._explain:
            if pair in meant:
                self._explain_until.pop(pair, None)
            else:
                self._explain_until.setdefault(pair, now + EXPLAIN_S)


def _beyond(was: EndpointEntry, given: int) -> EndpointEntry:
    """`was` again, under an epoch of its own where another one had been given."""
    return was if given == was.epoch else replace(was, epoch=(given + 1) & EPOCH_MASK)
