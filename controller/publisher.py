"""Turns each new intent into the view that nodes are served from.

One build at a time, in a worker thread, so that streams stay alive; changes that come meanwhile are taken together by
the next. A build that fails leaves the view before it in force, is reported, and is tried again with the next change or
after a pause.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from controller.identities import Numbers
from controller.intake import Intake
from controller.intent import Intent
from controller.snapshot import ClusterView, cluster_view
from controller.telemetry import Telemetry
from mesh.policy.cluster import build

log = logging.getLogger(__name__)

DEBOUNCE_S = 0.02
RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """Why the newest revision is not served."""

    revision: int
    reason: str


class Publisher:
    def __init__(self, intake: Intake, numbers: Numbers, telemetry: Telemetry, *, enrol_all: bool = True) -> None:
        self._intake = intake
        self._numbers = numbers
        self._telemetry = telemetry
        self._enrol_all = enrol_all
        self.view: ClusterView | None = None
        self.failure: BuildFailure | None = None
        self.tried = asyncio.Event()
        """Set once the first revision was built, or could not be."""
        self._wake: Callable[[], None] = lambda: None

    def on_view(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each new view. It must only wake others, not do their work."""
        self._wake = wake

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._intake.changed.clear()
            await self._publish(self._intake.intent)
            self.tried.set()
            pause = RETRY_S if self.failure is not None else None
            try:
                async with asyncio.timeout(pause):
                    await self._intake.changed.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(DEBOUNCE_S)

    async def _publish(self, intent: Intent) -> None:
        if self.view is not None and self.view.revision == intent.revision and self.failure is None:
            return
        self._telemetry.intent(intent.revision, intent.entries)
        started = time.monotonic()
        try:
            view = await asyncio.to_thread(self._build, intent)
            # Before anybody hears of a new number it must be kept.
            self._numbers.keep()
            self._numbers.forget(view.identities)
        except Exception as error:
            # Whatever it is, what is in force stays and the streams go on; the status shows it.
            log.exception("revision %s cannot be served; the one before stays in force", intent.revision)
            self.failure = BuildFailure(intent.revision, f"{type(error).__name__}: {error}")
            return
        self.failure = None
        self.view = view
        self._telemetry.built(time.monotonic() - started, view)
        self._wake()

    def _build(self, intent: Intent) -> ClusterView:
        objects = list(intent.objects())
        policy = build(objects, self._numbers, enrol_all=self._enrol_all)
        return cluster_view(objects, policy, intent.revision, self.view)
