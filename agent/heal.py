"""Finds what others changed: hooks, pods that left without a word, the node's addresses, what closes the fast path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from agent import podnetns
from agent.datapath.interface import Datapath, DatapathError
from agent.enforcer import Enforcer
from agent.errors import AgentError
from agent.fastpath import FastPath
from agent.state import LocalEndpoint
from mesh.journal import line

log = logging.getLogger("heal")

EVERY_S = 2.0
LONGEST_WAIT = 16
"""Looks between two attempts to bring the maps back."""
GONE_LOOKS = 2
"""A pod whose interface is missing this many times in a row has left."""


class Healer:
    def __init__(
        self,
        enforcer: Enforcer,
        datapath: Datapath,
        fast_path: FastPath,
        *,
        uplinks: tuple[str, ...],
        cgroup: str,
        remove: Callable[[LocalEndpoint], Awaitable[None]],
    ) -> None:
        self._enforcer = enforcer
        self._datapath = datapath
        self._fast_path = fast_path
        self._uplinks = uplinks
        self._cgroup = cgroup
        self._remove = remove
        self._missed: dict[LocalEndpoint, int] = {}
        self._attempts = 0
        self._wait = 0
        self.repaired = 0
        self.warnings: tuple[str, ...] = ()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except (AgentError, DatapathError) as error:
                self.warnings = (str(error),)
                log.error(line("repair failed", why=error))

    async def look(self) -> None:
        """One round."""
        await self._restore()
        await self._departed()
        addresses = podnetns.node_addresses()
        if addresses != self._enforcer.state.node_addresses:
            await self._enforcer.change(lambda state: replace(state, node_addresses=addresses))
        lost = await self._enforcer.in_writer(self._mend)
        await self.look_at_fast_path()
        gone = (f"hook was gone or replaced, and is repaired: {text}" for text in lost)
        self.warnings = (*self._astray(), *gone, *self._uplinks_away(), *self._fast_path.warnings)
        if lost:
            log.warning(line("hooks were gone or replaced", hooks="; ".join(lost)))
            self.repaired += len(lost)

    async def _restore(self) -> None:
        """After a change that could neither be made nor taken back; at growing distances, for it costs a walk."""
        if not self._enforcer.reconciler.astray:
            self._attempts = self._wait = 0
            return
        if self._wait:
            self._wait -= 1
            return
        self._attempts += 1
        self._wait = min(2 ** min(self._attempts, 8), LONGEST_WAIT) - 1
        try:
            await self._enforcer.restore()
        except DatapathError as error:
            log.error(line("the maps could not be brought back", attempt=self._attempts, why=error))

    def _astray(self) -> tuple[str, ...]:
        why = self._enforcer.reconciler.astray
        tries = f"tried {self._attempts} times, and again soon"
        return (f"the maps do not hold what is in force: {why} ({tries})",) if why else ()

    def _mend(self) -> list[str]:
        """In the writer's thread, so that no pod comes, leaves or changes sides meanwhile. Says what was missing."""
        realized = self._enforcer.reconciler.realized
        pods, guests = sorted(realized.hooks), sorted(realized.guests)
        uplinks = self._uplinks_here()
        lost = self._datapath.hooks_missing(pods=pods, uplinks=uplinks, guests=guests)
        if lost:
            self._repair(pods, guests, uplinks)
        return lost

    async def look_at_fast_path(self) -> None:
        await self._enforcer.in_writer(
            lambda: self._fast_path.look(sorted(self._enforcer.reconciler.realized.hooks), self._uplinks_here())
        )

    def _uplinks_here(self) -> list[int]:
        return [index for index, name in podnetns.interfaces().items() if name in self._uplinks]

    def _uplinks_away(self) -> list[str]:
        here = set(podnetns.interfaces().values())
        away = [name for name in self._uplinks if name not in here]
        return [f"uplink {name} is gone: what comes in by another way and needs the proxy is refused" for name in away]

    def _repair(self, pods: list[int], guests: list[int], uplinks: list[int]) -> None:
        """Each is asked by itself, so only what is broken is touched."""
        for index in pods:
            if podnetns.interface_exists(index) and self._datapath.hooks_missing(pods=[index], uplinks=[]):
                self._datapath.attach_pod(index)
        for index in guests:
            if podnetns.interface_exists(index) and self._datapath.hooks_missing(pods=[], uplinks=[], guests=[index]):
                self._datapath.attach_guest(index)
        for index in uplinks:
            self._datapath.attach_uplink(index)
        self._datapath.attach_cgroup(self._cgroup)
        self._datapath.prepare_node()

    async def _departed(self) -> None:
        """Pods whose interface is gone although nobody said so."""
        existing = podnetns.interfaces()
        missed: dict[LocalEndpoint, int] = {}
        for endpoint in self._enforcer.state.local.values():
            if existing.get(endpoint.ifindex) != endpoint.host_ifname:
                missed[endpoint] = self._missed.get(endpoint, 0) + 1
        self._missed = missed
        for endpoint in [endpoint for endpoint, count in missed.items() if count >= GONE_LOOKS]:
            log.warning(line("pod left without a word", pod=endpoint.key))
            await self._remove(endpoint)
