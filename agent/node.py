"""What outside callers can ask of this node: the controller's stream and the local API meet the enforcer here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from agent import state
from agent.attachments import Attachments
from agent.conntrack_watch import ConntrackWatch
from agent.datapath.interface import Datapath
from agent.endpoints import SETTLED, Endpoints
from agent.enforcer import Enforcer
from agent.errors import AgentError, QuestionRefused
from agent.fastpath import FastPath
from agent.files import StateFileError, clear_outrun, mark_outrun, save_snapshot
from agent.flows import FlowLog
from agent.heal import Healer
from agent.listings import MOST_ROWS, POLICY, endpoint_rows, flow_rows, map_asked, map_rows
from agent.mapwords import MapWords
from agent.policychains import chain_rows
from agent.pressure import nearly_full, pressure
from agent.proxy_link import ProxyLink
from agent.state import NodeState
from agent.sync import Connection, Status
from mesh.journal import line
from mesh.model import FlowRecord
from mesh.snapshot import Delta, NodeSnapshot

log = logging.getLogger("node")

SAVE_EVERY_S = 0.5


class Node:
    def __init__(
        self,
        *,
        name: str,
        state_dir: Path,
        datapath: Datapath,
        enforcer: Enforcer,
        endpoints: Endpoints,
        conntrack: ConntrackWatch,
        proxy: ProxyLink,
        flows: FlowLog,
        checks: Callable[[], list[dict[str, Any]]],
        fast_path: FastPath,
        attachments: Attachments,
        healer: Healer,
        connection: Connection,
    ) -> None:
        self._name = name
        self._snapshot_path = state_dir / "snapshot.pb"
        self._datapath = datapath
        self._enforcer = enforcer
        self._endpoints = endpoints
        self._conntrack = conntrack
        self._proxy = proxy
        self._flows = flows
        self._checks = checks
        self._fast_path = fast_path
        self._attachments = attachments
        self._healer = healer
        self._connection = connection
        self._saved: NodeSnapshot | None = None
        self._changing = False
        self._news = asyncio.Lock()
        self._disk_warning = ""

    # -- for the controller's stream ------------------------------------------------------------------------------

    def revision(self) -> int:
        return self._enforcer.state.snapshot.revision

    async def settled(self) -> None:
        """News that an earlier stream left half-way are in force, or refused: `revision` tells the truth again."""
        async with self._news:
            return

    async def take_news(self, news: list[NodeSnapshot | Delta]) -> None:
        await self._enforcer.unbroken.run(self._take_news(news))

    async def _take_news(self, news: list[NodeSnapshot | Delta]) -> None:
        """In one piece: the mark on disk, the change, and its end. One after the other, for they share it."""
        async with self._news:
            await self._take_marked(news)

    async def _take_marked(self, news: list[NodeSnapshot | Delta]) -> None:
        def update(held: NodeState) -> NodeState:
            for item in news:
                held = state.receive(held, item)
            return held

        self._changing = True
        try:
            self._outrun()
            enforced = await self._enforcer.change(update, first=True)
        finally:
            self._changing = False
            if self._enforcer.state.snapshot is self._saved:
                clear_outrun(self._snapshot_path)  # refused: what is on disk is still in force
        if enforced.outcome.changed:
            log.info(
                line(
                    "enforced",
                    revision=self.revision(),
                    flipped=len(enforced.outcome.flipped),
                    ms=f"{enforced.took_s * 1000:.1f}",
                )
            )

    def _outrun(self) -> None:
        """A restart must not go back to the snapshot on disk; a full disk does not stop enforcement."""
        try:
            mark_outrun(self._snapshot_path)
        except StateFileError as error:
            self._disk_warning = str(error)

    async def caught_up(self) -> None:
        await self._proxy.caught_up()

    def status(self) -> Status:
        lives = self._endpoints.lives()
        settled = sum(1 for life in lives.values() if life in SETTLED)
        return Status(
            enforced_revision=self.revision(),
            state="enforcing" if self._enforcer.ready.is_set() else "starting",
            warnings=self.warnings(),
            endpoints=len(lives),
            endpoints_enforced=settled,
            proxy_workers=self._proxy.workers,
        )

    def warnings(self) -> tuple[str, ...]:
        found = list(self._healer.warnings)
        found += [text for text in (self._disk_warning, self._attachments.disk_warning) if text]
        if not self._enforcer.state.proxy_up:
            found.append("no proxy: flows that need it are reset")
        full = nearly_full(self.pressure())
        if full:
            found.append(full)
        return (*found, *self._conntrack.crowded())

    def pressure(self) -> dict[str, float]:
        """Asked several times a second, on the event loop: no map is read for it."""
        realized = self._enforcer.reconciler.realized
        return pressure(self._datapath.tables, realized, self._conntrack.entries)

    def take_flows(self, most: int) -> tuple[list[FlowRecord], int]:
        return self._flows.take(most)

    async def answer(self, name: str, arguments: dict[str, Any]) -> Any:
        if name == "endpoint-list":
            return {"endpoints": self._endpoint_rows()}
        if name == "conntrack-list":
            names = self._pods()
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            rows, cut = await asyncio.to_thread(lambda: flow_rows(self._datapath.tables.conntrack.items(), names, now))
            return {"entries": rows, "truncated": cut}
        if name == "map-dump":
            wanted = str(arguments.get("name", ""))
            enforcer = self._enforcer
            words = MapWords(enforcer.state.snapshot.identities, enforcer.numbers, self._pods())
            try:
                table = self._datapath.tables.by_name(name := map_asked(wanted))
            except QuestionRefused as error:
                return {"refused": str(error)}
            if arguments.get("chains") and name == POLICY:
                policy = self._datapath.tables.policy
                rows, cut = await asyncio.to_thread(lambda: chain_rows(policy, words, MOST_ROWS))
                return {"map": wanted, "chains": rows, "truncated": cut}
            rows, cut = await asyncio.to_thread(lambda: map_rows(name, table.raw_items(), words))
            return {"map": wanted, "entries": rows, "truncated": cut}
        raise AgentError(f"this agent knows no command {name!r}: endpoint-list, map-dump, conntrack-list")

    def _pods(self) -> dict[int, str]:
        """By the number of the endpoint."""
        return {endpoint.id: key for key, endpoint in self._enforcer.state.local.items()}

    # -- for the local API ----------------------------------------------------------------------------------------

    def calls(self) -> dict[str, Callable[[Mapping[str, Any]], Awaitable[Any]]]:
        return {
            "endpoint.add": self._attachments.add,
            "endpoint.remove": self._attachments.remove_named,
            "endpoint.list": self._endpoint_list,
            "status": self._local_status,
            "doctor": self._doctor,
        }

    async def _endpoint_list(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self._endpoint_rows()

    def _endpoint_rows(self) -> list[dict[str, Any]]:
        entries = self._enforcer.reconciler.realized.endpoint
        return endpoint_rows(self._enforcer.state, self._endpoints.lives(), entries)

    async def _local_status(self, request: Mapping[str, Any]) -> dict[str, Any]:
        status = self.status()
        held = self._connection
        return {
            "node": self._name,
            "state": status.state,
            "revision": status.enforced_revision,
            "controller": {"connected": held.up, "error": "" if held.up else held.error},
            "endpoints": status.endpoints,
            "endpointsEnforced": status.endpoints_enforced,
            "proxyWorkers": status.proxy_workers,
            "proxyPids": self._proxy.pids,
            "fastPath": self._fast_path.closed or "open",
            "warnings": list(status.warnings),
        }

    async def _doctor(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"checks": await asyncio.to_thread(self._checks), "warnings": list(self.warnings())}

    # -- what is kept on disk -------------------------------------------------------------------------------------

    def saved(self, snapshot: NodeSnapshot) -> None:
        """This snapshot came from the disk: it need not be written again."""
        self._saved = snapshot

    async def keep_saving(self) -> None:
        """Write the last good snapshot soon after each change; a full disk is a warning, not an end."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        snapshot = self._enforcer.state.snapshot
        if snapshot is self._saved or snapshot.revision == 0:
            return
        try:
            await asyncio.to_thread(save_snapshot, self._snapshot_path, snapshot)
            self._saved, self._disk_warning = snapshot, ""
            if not self._changing and self._enforcer.state.snapshot is snapshot:
                clear_outrun(self._snapshot_path)
        except StateFileError as error:
            if str(error) != self._disk_warning:
                log.error(line("snapshot not saved", why=error))
            self._disk_warning = str(error)
