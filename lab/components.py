"""The mesh's own programs: controller, agents and proxies, started and kept running as systemd or kubelet would.

What dies is started again, with back-off. `restart` is graceful: an agent or controller ends before the next starts,
a proxy starts first and the old one drains behind it. `kill` is a crash. Used by `lab.supervisor` alone.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lab.backoff import Backoff
from lab.processes import Launch, Process, last_lines

_READY_WITHIN_S = 120.0
"""Takes two seconds; a busy machine may need many. What dies instead of coming up is not waited for so long."""
_POLL_S = 0.05
_DEATHS = 5
"""So many while its being ready is waited for, and the wait is over."""
STOP_GRACE_S = 15.0
DRAIN_GRACE_S = 40.0
"""Of an old proxy: its own limit (30 s) and some."""


class NotReady(RuntimeError):
    """A component did not come up; names it and shows the end of its log."""


class Component:
    """One of them. `keep` is its task; everything else acts on what `keep` runs."""

    def __init__(
        self,
        kind: str,
        node: str,
        launch: Launch,
        ready: Callable[[Process], Awaitable[bool]],
        *,
        metrics: str = "",
        successors: Sequence[tuple[Launch, str]] = (),
    ) -> None:
        """`metrics`: where it serves them. `successors`: of those that can run beside it, in turns."""
        self.kind, self.node, self.launch, self.metrics = kind, node, launch, metrics
        self.backoff = Backoff()
        self._ready, self._successors = ready, deque(successors)
        self._process: Process | None = None
        self._gate = asyncio.Lock()
        self._waiting = False

    @property
    def title(self) -> str:
        return f"{self.kind} on {self.node}" if self.node else self.kind

    @property
    def state(self) -> str:
        if self._process is not None and self._process.exit_code is None:
            return "running"
        return "back-off" if self._waiting else "starting"

    def describe(self) -> dict[str, Any]:
        process = self._process
        alive = process is not None and process.exit_code is None
        workers: list[int] = []
        if alive and process is not None and self.kind == "proxy":
            workers = list(process.children()) or [process.pid]
        return {
            "component": self.kind,
            "node": self.node or None,
            "pid": process.pid if alive and process is not None else None,
            "workers": workers,
            "state": self.state,
            "restarts": self.backoff.deaths,
            "metrics": self.metrics,
        }

    async def keep(self) -> None:
        """Runs until cancelled."""
        while True:
            async with self._gate:
                process = self._process or self._start()
            await process.wait()
            async with self._gate:
                if process is not self._process:
                    continue  # replaced on purpose
                self._process = None
            self.backoff = self.backoff.died(time.monotonic() - process.started)
            self._waiting = True
            await asyncio.sleep(self.backoff.wait_s)
            self._waiting = False

    def _start(self) -> Process:
        self._process = Process(self.launch)
        return self._process

    async def wait_ready(self) -> None:
        await self._wait_ready(lambda: self._process)

    async def _wait_ready(self, current: Callable[[], Process | None]) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        deaths_before = self.backoff.deaths
        while True:
            process = current()
            if process is not None and await self._ready(process):
                return
            if self.backoff.deaths - deaths_before >= _DEATHS or time.monotonic() > deadline:
                lines = "\n".join(f"    {line}" for line in last_lines(self.launch.log))
                raise NotReady(f"{self.title} does not come up; the end of {self.launch.log}:\n{lines}")
            await asyncio.sleep(_POLL_S)

    async def restart(self) -> Process | None:
        """Graceful. Returns when the new one is ready; an old one that still drains is the caller's to wait for."""
        async with self._gate:
            old = self._process
            if old is None or not self._successors:
                if old is not None:
                    await old.stop(STOP_GRACE_S)
                new = self._start()
                old = None
            else:
                launch, metrics = self._successors[0]
                new = Process(launch)
                try:
                    await self._wait_ready(lambda: new)
                except NotReady:
                    new.kill_group()
                    raise
                self._successors.popleft()
                self._successors.append((self.launch, self.metrics))
                self.launch, self.metrics, self._process = launch, metrics, new
                old.signal(signal.SIGTERM)
        if old is None:
            await self._wait_ready(lambda: new)
        return old

    async def end(self) -> None:
        """For good: `keep` has been cancelled, or waits for the gate that is never given back."""
        await self._gate.acquire()
        if self._process is not None:
            await self._process.stop(STOP_GRACE_S)

    def kill(self) -> int | None:
        """SIGKILL to the program and its workers; `keep` starts it again. Its process id."""
        process = self._process
        if process is None:
            return None
        process.kill_group()
        return process.pid
