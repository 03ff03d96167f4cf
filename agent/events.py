"""Takes flow events out of the kernel's ring as they come and keeps their records for the next batch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from agent.datapath.interface import Datapath, DatapathError
from agent.datapath.tables import FlowEvent
from agent.flows import FlowLog, Names, completed, record_of
from mesh.journal import line
from mesh.layouts import Verdict as KernelVerdict
from mesh.model import FlowRecord

log = logging.getLogger("events")

AT_ONCE = 256
"""Events handled before the loop gets its turn."""
BREATH_S = 0.02
"""Pause after so many: a pod that has packets denied as fast as it can must not keep the agent busy. The ring holds 80
times as many for bursts; what does not fit is lost there, and counted."""


class EventReader:
    def __init__(self, datapath: Datapath, names: Callable[[], Names], flows: FlowLog, node: str) -> None:
        self._datapath = datapath
        self._names = names
        self._flows = flows
        self._offset_ns = 0
        """Kernel times are CLOCK_MONOTONIC; records carry the wall clock, which may be set while the agent runs."""
        self._prefix = f"{node}-{time.time_ns() // 1_000_000:x}"
        self._sequence = 0
        self._lost_in_kernel = 0
        self.redirected = 0

    async def run(self) -> None:
        """Read until cancelled."""
        self._lost_in_kernel = self._datapath.gauges().get("events_lost", 0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(), name="events-read")
            tasks.create_task(self._watch_losses(), name="events-lost")

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self._datapath.event_fd()
        waiting = asyncio.Event()
        try:
            while True:
                waiting.clear()
                loop.add_reader(descriptor, waiting.set)
                await waiting.wait()
                loop.remove_reader(descriptor)
                if self._read_some() >= AT_ONCE:
                    await asyncio.sleep(BREATH_S)
        finally:
            loop.remove_reader(descriptor)

    async def _watch_losses(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._count_lost()

    def _read_some(self) -> int:
        self._offset_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        try:
            return self._datapath.read_events(self._take, limit=AT_ONCE)
        except DatapathError as error:
            log.warning(line("reading flow events failed", why=error))
            return AT_ONCE

    def _take(self, event: FlowEvent) -> None:
        if event.verdict == KernelVerdict.VERDICT_REDIRECT:
            self.redirected += 1
            return
        self._sequence += 1
        record = record_of(
            event, self._names(), id=f"{self._prefix}-{self._sequence:x}", wall_ns=event.time_ns + self._offset_ns
        )
        if record is not None:
            self._flows.add(record)

    def take_record(self, record: FlowRecord) -> None:
        """A record that the proxy made."""
        self._flows.add(completed(record, self._names()))

    def _count_lost(self) -> None:
        lost = self._datapath.gauges().get("events_lost", 0)
        if lost > self._lost_in_kernel:
            self._flows.lose(lost - self._lost_in_kernel)
        self._lost_in_kernel = lost
