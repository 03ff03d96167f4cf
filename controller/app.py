"""The controller as a whole: builds its rooms, runs them in one task group, drains on a signal.

State flows one way: sources -> intake -> store and intent -> publisher -> view -> one session per agent.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from controller.ca.authority import Authority
from controller.config import ControllerConfig
from controller.directory import DirectorySource
from controller.fleet import Fleet
from controller.flows import Flows
from controller.identities import Numbers
from controller.intake import Intake
from controller.publisher import Publisher
from controller.server import Servers
from controller.server_admin import AdminParts
from controller.server_mesh import MeshParts
from controller.store import Store
from controller.telemetry import Telemetry

log = logging.getLogger(__name__)

DRAIN_S = 3.0


class _Stopped(Exception):
    """Asked to stop: ends the task group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Everything that lives as long as the process. Tests look inside."""

    config: ControllerConfig
    store: Store
    authority: Authority
    telemetry: Telemetry
    intake: Intake
    publisher: Publisher
    source: DirectorySource | None
    fleet: Fleet
    flows: Flows
    servers: Servers

    @classmethod
    def build(cls, config: ControllerConfig) -> Controller:
        """Open what is kept. Raises ControllerError or ObjectsRefused, with nothing left open."""
        store = Store(config.state / "store.db")
        try:
            authority = Authority.load(config.state, config.trust_domain, datetime.now(UTC))
            telemetry = Telemetry()
            intake = Intake(store, config.service_cidrs)
            publisher = Publisher(intake, Numbers(store), telemetry, enrol_all=config.enrol_all)
            fleet = Fleet(telemetry, asyncio.get_running_loop().time)
        except BaseException:
            store.close()
            raise
        publisher.on_view(fleet.wake_all)
        source = DirectorySource(config.source, intake, telemetry) if config.source else None
        return cls(
            config=config,
            store=store,
            authority=authority,
            telemetry=telemetry,
            intake=intake,
            publisher=publisher,
            source=source,
            fleet=fleet,
            flows=Flows(),
            servers=Servers(),
        )

    async def run(self, stop: asyncio.Event, started: asyncio.Event) -> None:
        """Serve until `stop`; `started` is set once agents and the command line are answered."""
        metrics = self.telemetry.serve(self.config.metrics) if self.config.metrics else None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.publisher.run(), name="publisher")
                if self.source is not None:
                    # Looked at once before anything is served: a restart must not show less than there was.
                    await self.source.look()
                    tasks.create_task(self.source.run(), name="source")
                await self.publisher.tried.wait()
                await self._serve()
                log.info(
                    "serving agents on %s and the port above, revision %s",
                    self.config.listen,
                    self.intake.intent.revision,
                )
                started.set()
                await stop.wait()
                await self._drain()
                raise _Stopped
        except* _Stopped:
            log.info("stopped")
        finally:
            await self.servers.stop(0)
            if metrics is not None:
                metrics.close()
            self.store.close()

    async def _serve(self) -> None:
        mesh = MeshParts(
            store=self.store,
            authority=self.authority,
            fleet=self.fleet,
            flows=self.flows,
            publisher=self.publisher,
            telemetry=self.telemetry,
            node_certificate=timedelta(seconds=self.config.node_certificate_s),
        )
        admin = AdminParts(
            store=self.store,
            authority=self.authority,
            intake=self.intake,
            publisher=self.publisher,
            fleet=self.fleet,
            flows=self.flows,
            source=self.source,
            telemetry=self.telemetry,
        )
        await self.servers.start_mesh(mesh, self.config.listen)
        await self.servers.start_admin(admin, self.config.admin_socket)

    async def _drain(self) -> None:
        """Streams are told to look for the next controller, followers get their end, calls in progress finish."""
        self.fleet.stop()
        self.intake.watches.end()
        self.flows.end()
        await self.servers.stop(DRAIN_S)


async def run(config: ControllerConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    controller = Controller.build(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await controller.run(stop, asyncio.Event())
