"""The one place where the node's state changes: takes news, tells the proxy, writes the kernel, or leaves all as is.

Changes come one at a time, in the order in which they are asked for. Work on maps and compiling policy runs in the
one thread that may write maps, so that the event loop stays free.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from agent.desired import Desired, Numbers, desired
from agent.endpoints import Endpoints
from agent.plan import Plan, Step
from agent.proxyview import Former, former_after, moved_after, view
from agent.reconcile import Outcome, Reconciler
from agent.state import NodeState
from agent.unbroken import Unbroken
from mesh.journal import line
from mesh.snapshot import ProxyView

log = logging.getLogger("enforcer")
T = TypeVar("T")

RETIRE_EVERY_S = 30.0
"""How often numbers that nothing uses are looked for: it reads every policy entry of the mirror."""


class Proxy(Protocol):
    """What the enforcer needs of the proxy link."""

    async def tell(self, view: ProxyView) -> None:
        """Returns when every worker has swapped, or has been cut off because it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """What a change did, for those who wait for it."""

    outcome: Outcome
    took_s: float


class Enforcer:
    def __init__(
        self,
        state: NodeState,
        reconciler: Reconciler,
        endpoints: Endpoints,
        writer: Executor,
        *,
        proxy: Proxy,
        on_change: Callable[[Enforced], None] = lambda enforced: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_change` is called after each change."""
        self.state = state
        self.numbers = Numbers()
        self.endpoints = endpoints
        self.reconciler = reconciler
        self.want: Desired | None = None
        self.view: ProxyView | None = None
        """What the proxy is told, or being told: a worker that connects in the middle of a change gets this."""
        self.ready = asyncio.Event()
        """Set once something may be enforced: until then the kernel keeps what an earlier process left."""
        self.failed = 0
        """Changes that the kernel refused. Each was taken back, or waits in `reconciler.astray` to be."""
        self.unbroken = Unbroken()
        self._next_retirement = 0.0
        self._former = Former()
        self._proxy = proxy
        self._on_change = on_change
        self._writer = writer
        self._clock = clock
        self._lock = asyncio.Lock()

    async def change(self, update: Callable[[NodeState], NodeState], *, first: bool = False) -> Enforced:
        """Make `update(state)` the state in force. On any error the state before stays, in kernel and proxy.

        `first`: this change brings what makes enforcing possible; others wait for it. Once begun a change is carried to
        its end, also where the caller is cancelled.
        """
        if not first:
            await self.ready.wait()
        return await self.unbroken.run(self._change(update))

    async def _change(self, update: Callable[[NodeState], NodeState]) -> Enforced:
        async with self._lock:
            started = self._clock()
            state = update(self.state)
            self.endpoints.identify(state)
            want = await self.in_writer(lambda: desired(state, self.numbers, self.want))
            plan = await self.in_writer(lambda: self.reconciler.prepare(want))
            former = former_after(self._former, plan.renamed, self.state, want.identities)
            former = await self._moved(former, plan, want)
            await self._tell_proxy(view(state, want, self.numbers, former))
            outcome = await self._execute(plan, want)
            self.state, self.want, self._former = state, want, former
            self.endpoints.enforced(state)
            enforced = Enforced(outcome=outcome, took_s=self._clock() - started)
        self.ready.set()
        self._on_change(enforced)
        return enforced

    async def _execute(self, plan: Plan, want: Desired) -> Outcome:
        try:
            return await self.in_writer(lambda: self.reconciler.execute(plan, want, self._clock()))
        except Exception:
            self.failed += 1
            if self.want is not None:
                # what moved is as it was: the proxy has believed otherwise since it heard of the change
                self._former = await self._moved(self._former, plan, self.want)
                await self._tell_proxy(view(self.state, self.want, self.numbers, self._former))
            raise

    async def _moved(self, former: Former, plan: Plan, holds: Desired) -> Former:
        """In the thread, and only where addresses change: with many pods it takes tens of milliseconds."""
        if not any(isinstance(step, Step) and step.table == "ipcache" for step in plan.steps):
            return former
        return await self.in_writer(lambda: moved_after(former, plan.moved | plan.departed, holds.ipcache))

    async def _tell_proxy(self, told: ProxyView) -> None:
        before, self.view = self.view, told
        try:
            await self._proxy.tell(told)
        except BaseException:
            self.view = before
            raise

    async def set_proxy(self, up: bool) -> None:
        """The proxy came or stayed away for too long: the kernel hands flows over, or resets them at once."""
        if up != self.state.proxy_up:
            await self.change(lambda state: replace(state, proxy_up=up))
            log.info(line("proxy is up" if up else "proxy is down: flows that need it are reset"))

    async def restore(self) -> None:
        """Bring the maps back to the state in force, where an earlier change left them otherwise."""
        if self.reconciler.astray and self.ready.is_set():
            await self.change(lambda state: state)
            log.info(line("the maps hold what is in force again"))

    async def sweep(self) -> None:
        """Delete what has been out of use for its grace."""
        async with self._lock:
            if self.reconciler.sweep_due():
                await self.in_writer(lambda: self.reconciler.sweep(self._clock()))
            now = self._clock()
            if now < self._next_retirement:
                return
            self._next_retirement = now + RETIRE_EVERY_S
            in_use = await self.in_writer(self.reconciler.rules_in_use)
            self.numbers.rules.retire(in_use, now)
            frontends = self.state.snapshot.frontends.values()
            services = {self.numbers.services.number(f"{f.namespace}/{f.name}") for f in frontends}
            self.numbers.services.retire(services, now)

    def in_writer(self, work: Callable[[], T]) -> Awaitable[T]:
        """Run in the thread that owns the maps."""
        return asyncio.get_running_loop().run_in_executor(self._writer, work)
