"""Walks the conntrack map: collects dead entries, ends flows that policy no longer allows but on which no packet comes,
and tells the kernel how much of its share each pod has given back.

The kernel asks policy again with the next packet of a flow whose epoch is old. A flow that is idle would live on, so
after each flip its socket in the pod is destroyed (SOCK_DESTROY in the pod's namespace), which resets both ends. The
entry goes one walk later: the reset itself must still find it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from agent.datapath.conntrack import Entry, sweep
from agent.datapath.interface import DatapathError, Tables
from agent.datapath.tables import CtKey, EndpointEntry, EndpointFreed, EndpointSpent
from agent.enforcer import Enforced, Enforcer
from agent.evaluate import Condemned, Question, condemned
from agent.moves import Cover
from agent.shares import Held, freed, held_by_pod
from mesh.journal import line
from mesh.model import Address, Direction

log = logging.getLogger("conntrack")

COLLECT_EVERY_S = 5.0
AFTER_CHANGE_S = 0.2
"""From a flip to the first walk: packets in flight settle most flows meanwhile."""
AGAIN_S = 0.6
"""A second walk finds flows whose entry was written by a packet that raced with the flip."""
NEARLY = 0.9
"""Share of a pod's share from which on it is worth a warning."""

Destroy = Callable[[str, int, Address, int, Address, int], bool]
"""Network namespace, protocol, the pod's own address and port, the peer's. False: no such socket."""


class ConntrackWatch:
    def __init__(
        self,
        enforcer: Enforcer,
        tables: Tables,
        *,
        flows_per_pod: int,
        destroy: Destroy,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        self._enforcer = enforcer
        self._table = tables.conntrack
        self._spent = tables.spent
        self._freed = tables.freed
        self._flows_per_pod = flows_per_pod
        self._destroy = destroy
        self._in_thread = in_thread
        self._wanted = asyncio.Event()
        self._forget: dict[int, int] = {}
        self._departed: dict[Address, int] = {}
        self._condemned: set[CtKey] = set()
        self._written: dict[int, EndpointFreed] = {}
        self.entries = 0
        """In the map, after the last walk."""
        self.collected = 0
        self.destroyed = 0
        self.held: dict[int, Held] = {}
        """By endpoint: what was charged to each at the last walk."""

    def changed(self, enforced: Enforced) -> None:
        """After a change: flows of flipped endpoints are looked for, and those of removed ones and of lost peers.

        A peer's flows do not wait for the endpoint's epoch: another pod with other rights may get its address.
        """
        outcome = enforced.outcome
        self._departed |= dict.fromkeys(outcome.departed, _now_ns())
        if outcome.flipped or outcome.removed or outcome.departed:
            self._wanted.set()

    def forget(self, endpoint: int) -> None:
        """Another pod took this number: flows that began before now are not its own."""
        self._forget[endpoint] = _now_ns()
        self._wanted.set()

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(COLLECT_EVERY_S):
                    await self._wanted.wait()
            except TimeoutError:
                await self._guarded()
                continue
            self._wanted.clear()
            for pause in (AFTER_CHANGE_S, AGAIN_S):
                await asyncio.sleep(pause)
                await self._guarded()

    async def _guarded(self) -> None:
        try:
            await self.walk()
        except DatapathError as error:
            log.warning(line("walking the conntrack map failed", why=error))

    async def walk(self) -> list[Condemned]:
        """One pass. Returns the flows that had to be ended. Whatever looks at every entry does so in a thread."""
        realized = self._enforcer.reconciler.realized
        endpoints = dict(realized.endpoint)
        owners = {key.address: number for key, number in realized.endpoint_by_address.items()}
        # Read before the entries: what begins meanwhile is then counted, perhaps twice, but never missed.
        spent = await self._in_thread(lambda: self._read_spent(endpoints.keys() | self._written.keys()))
        # The time, too: what has ended before it is listed never goes on, what ends meanwhile may.
        now_ns = _now_ns()
        flows = await self._in_thread(lambda: list(self._table.items()))
        forget, self._forget = self._forget, {}
        departed, self._departed = self._departed, {}
        epochs = {number: entry.epoch for number, entry in endpoints.items()}
        found = await self._in_thread(lambda: sweep(flows, now_ns=now_ns, epochs=epochs))
        dead = await self._in_thread(lambda: {*found.dead, *_left_behind(flows, forget, departed)})
        settled = self._condemned & {key for key, _ in found.stale}
        doomed: list[Condemned] = []
        if found.stale:
            doomed = await self._in_thread(lambda: condemned(found.stale, self._question(endpoints)))
            doomed = [item for item in doomed if item.key not in dead and item.key not in settled]
        gone = dead | settled
        remove = await self._in_thread(lambda: {key: entry.created_ns for key, entry in flows if key in gone})
        removed: set[CtKey] = set()
        if remove:
            removed = await self._in_thread(lambda: self._remove(remove))
            self.collected += len(removed)
        self.entries = len(flows) - len(removed)
        self.held = await self._in_thread(
            lambda: held_by_pod((flow for flow in flows if flow[0] not in removed), owners)
        )
        await self._in_thread(lambda: self._give_back(spent, endpoints))
        self._condemned = {item.key for item in doomed}
        if doomed:
            await self._in_thread(lambda: self._end(doomed))
        return doomed

    def _read_spent(self, numbers: Iterable[int]) -> dict[int, EndpointSpent]:
        return {number: self._spent.get(number) or EndpointSpent() for number in numbers}

    def _give_back(self, spent: Mapping[int, EndpointSpent], endpoints: Mapping[int, EndpointEntry]) -> None:
        """Pods that are gone too, once: another one may get the number."""
        for number, counts in spent.items():
            gone = freed(counts, self.held.get(number, Held()))
            if self._written.get(number) != gone:
                self._freed.put(number, gone)
            self._written[number] = gone
            if number not in endpoints and number not in self.held:
                del self._written[number]

    def crowded(self) -> list[str]:
        """Pods that use nearly all of their share, as sentences."""
        names = {endpoint.id: key for key, endpoint in self._enforcer.state.local.items()}
        nearly = self._flows_per_pod * NEARLY
        return [
            f"pod {names[number]} has {count} tracked flows {what}, of {self._flows_per_pod} that one pod may have"
            for number, held in sorted(self.held.items())
            for what, count in (("that it opened", held.opened), ("from elsewhere", held.received))
            if count >= nearly and number in names
        ]

    def fullest(self) -> float:
        """Share in use, of the pod that uses most of its own."""
        most = max((max(held.opened, held.received) for held in self.held.values()), default=0)
        return most / self._flows_per_pod

    def _remove(self, flows: Mapping[CtKey, int]) -> set[CtKey]:
        """The very flows that were looked at, by when they began: a new one may have taken a tuple since."""
        removed: set[CtKey] = set()
        for key, created_ns in flows.items():
            held = self._table.get(key)
            if held is not None and held.created_ns == created_ns:
                self._table.delete(key)
                removed.add(key)
        return removed

    def _question(self, endpoints: dict[int, EndpointEntry]) -> Question:
        want = self._enforcer.want
        policies = {}
        if want is not None:
            policies = {n: want.policies[e.policy] for n, e in want.endpoints.items() if e.policy is not None}
        ipcache = dict(self._enforcer.reconciler.realized.ipcache)
        return Question(endpoints=endpoints, policies=policies, cover=Cover(ipcache))

    def _end(self, doomed: list[Condemned]) -> None:
        """In a thread: each call enters the pod's namespace. A pod that is gone has no sockets left to destroy."""
        paths = {e.id: e.netns for e in self._enforcer.state.local.values() if e.netns}
        for item in doomed:
            path = paths.get(item.key.endpoint)
            if path is None:
                continue
            here, there = _ends(item.key)
            try:
                done = self._destroy(path, item.key.protocol, *here, *there)
            except DatapathError as error:
                log.warning(line("cannot destroy a socket", netns=path, why=error))
                continue
            if done:
                self.destroyed += 1
                log.info(
                    line("idle flow ended", endpoint=item.key.endpoint, peer=there[0], port=there[1], why=item.reason)
                )


def _now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def _left_behind(flows: Iterable[Entry], forget: Mapping[int, int], departed: Mapping[Address, int]) -> Iterator[CtKey]:
    """Flows that began before their endpoint's number, or their peer's address, went to another pod."""
    if not forget and not departed:
        return
    for key, entry in flows:
        if entry.created_ns < max(forget.get(key.endpoint, 0), departed.get(_ends(key)[1][0], 0)):
            yield key


def _ends(key: CtKey) -> tuple[tuple[Address, int], tuple[Address, int]]:
    """The pod's own end of a flow, then the peer's."""
    source, destination = (key.source, key.sport), (key.destination, key.dport)
    return (source, destination) if key.direction == Direction.EGRESS else (destination, source)
