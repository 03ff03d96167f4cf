"""Builds the agent's parts, starts them in order, runs them in one task group, stops them on SIGTERM.

Stopping detaches nothing: programs and maps are pinned and go on enforcing. A start takes over what it finds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from agent import config as settings
from agent import memory, podnetns
from agent.attachments import Attachments
from agent.config import AgentConfig, host_port
from agent.conntrack_watch import ConntrackWatch, Destroy
from agent.credentials import NodeCertificate
from agent.datapath import links
from agent.datapath.interface import Datapath, DatapathError
from agent.datapath.tables import NodeConfig
from agent.endpoints import Endpoints
from agent.enforcer import Enforced, Enforcer
from agent.errors import AgentError, ConfigRefused
from agent.events import EventReader
from agent.fastpath import FastPath
from agent.files import StateFileError, is_outrun, load_snapshot
from agent.flows import FlowLog, Names
from agent.heal import Healer
from agent.local_api import LocalApi
from agent.metrics_page import MetricsPage
from agent.node import Node
from agent.proxy_link import ProxyLink
from agent.reading import Durations, Reading
from agent.reconcile import Reconciler
from agent.shares import usual_flows_per_pod
from agent.state import LocalEndpoint, NodeState, attach
from agent.sync import Connection, Sync
from mesh.journal import line
from mesh.layouts import CONFIG_PROXY_UP
from mesh.snapshot import NodeSnapshot

log = logging.getLogger("agent")

SWEEP_EVERY_S = 1.0
RENEW_LOOK_S = 60.0
STOP_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the agent needs of the machine; tests give a fake one."""

    datapath: Datapath
    """Loaded: its tables are open."""
    cold: bool
    """Programs had to be compiled for this start."""
    destroy: Destroy
    checks: Callable[[], list[dict[str, Any]]]


def node_config(config: AgentConfig, ct_entries: int) -> NodeConfig:
    metrics_port = host_port(config.metrics, "--metrics")[1] if config.metrics is not None else 0
    return NodeConfig(
        flags=CONFIG_PROXY_UP,
        mark_mask=links.MARK_MASK,
        mark_to_proxy=links.MARK_TO_PROXY,
        mark_from_proxy=links.MARK_FROM_PROXY,
        mark_own_answer=links.MARK_OWN_ANSWER,
        proxy_port=settings.PROXY_PORT,
        agent_port=metrics_port,
        icmp_per_second=100,
        tcp_established_s=6 * 3600,
        tcp_opening_s=60,
        tcp_closing_s=10,
        udp_s=60,
        icmp_s=30,
        flows_per_pod=config.flows_per_pod or usual_flows_per_pod(ct_entries),
    )


class App:
    def __init__(self, config: AgentConfig, machine: Machine) -> None:
        self._config = config
        self._machine = machine
        self._datapath = machine.datapath
        self._started = time.monotonic()
        self._stop = asyncio.Event()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="map-writer")
        self._endpoints = Endpoints(config.state / "endpoints.json")
        restored = self._restore_records()
        settled = node_config(config, self._datapath.tables.conntrack.max_entries)
        self._reconciler = self._make_reconciler(settled)
        state = NodeState(snapshot=NodeSnapshot(node=config.node), node_addresses=podnetns.node_addresses())
        for endpoint in restored:
            state = attach(state, endpoint)
        self._flows = FlowLog()
        self._events = EventReader(self._datapath, self._names, self._flows, config.node)
        self._proxy = self._make_proxy_link()
        self._enforcer = Enforcer(
            state, self._reconciler, self._endpoints, self._writer, proxy=self._proxy, on_change=self._changed
        )
        self._conntrack = ConntrackWatch(
            self._enforcer, self._datapath.tables, flows_per_pod=settled.flows_per_pod, destroy=machine.destroy
        )
        self._connection = Connection()
        self._attachments = Attachments(
            self._enforcer, self._endpoints, self._connection, forget=self._conntrack.forget
        )
        self._fast_path = FastPath(self._datapath, wanted=config.fast_path)
        self._healer = Healer(
            self._enforcer,
            self._datapath,
            self._fast_path,
            uplinks=config.uplinks,
            cgroup=str(config.cgroup),
            remove=self._attachments.remove,
        )
        self._node = self._make_node()
        host, port = host_port(config.controller, "--controller")
        self._certificate = NodeCertificate(
            config.state, node=config.node, host=host, port=port, token_file=config.join_token_file
        )
        self._sync = Sync(
            config.node, config.controller, self._node, self._certificate.ensure, connection=self._connection
        )
        self._enforce_times = Durations()
        self._untrimmed = True
        self._metrics = MetricsPage(self._read)

    def _make_reconciler(self, settled: NodeConfig) -> Reconciler:
        return Reconciler(
            self._datapath,
            settled,
            first_epoch=lambda: int(time.time()) & 0xFFFF_FFFF,
            interface_exists=podnetns.interface_exists,
            next_set=self._endpoints.reserved_set,
            reserve=self._reserve_sets,
        )

    def _make_proxy_link(self) -> ProxyLink:
        return ProxyLink(
            self._config.state / "proxy.sock",
            node=self._config.node,
            port=settings.PROXY_PORT,
            mark=links.MARK_FROM_PROXY,
            grace_s=self._config.proxy_grace_s,
            redirect_fd=self._datapath.redirect_map_fd,
            offer=self._datapath.offer_listeners,
            take_flow=self._events.take_record,
            lost_flows=self._flows.lose,
        )

    def _make_node(self) -> Node:
        return Node(
            name=self._config.node,
            state_dir=self._config.state,
            datapath=self._datapath,
            enforcer=self._enforcer,
            endpoints=self._endpoints,
            conntrack=self._conntrack,
            proxy=self._proxy,
            flows=self._flows,
            checks=self._machine.checks,
            fast_path=self._fast_path,
            attachments=self._attachments,
            healer=self._healer,
            connection=self._connection,
        )

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Errors of the start come out as AgentError or DatapathError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            await self._start()
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(work, name=name)
                    for name, work in (
                        ("proxy-link", self._proxy.run(self._enforcer)),
                        ("local-api", LocalApi(self._config.state / "agent.sock", self._node.calls()).run()),
                        ("sync", self._sync.run()),
                        ("renewal", self._renew()),
                        ("events", self._events.run()),
                        ("conntrack", self._conntrack.run()),
                        ("heal", self._healer.run()),
                        ("sweep", self._sweep()),
                        ("save", self._node.keep_saving()),
                    )
                ]
                if self._config.metrics is not None:
                    host, port = host_port(self._config.metrics, "--metrics")
                    running.append(tasks.create_task(self._metrics.serve(host, port), name="metrics"))
                took = time.monotonic() - self._started
                log.info(
                    line("enforcing", node=self._config.node, pods=len(self._enforcer.state.local), s=f"{took:.2f}")
                )
                await self._stop.wait()
                for task in running:
                    task.cancel()
        finally:
            await self._end()

    async def _start(self) -> None:
        """Take over what the kernel holds, enforce what is known, and only then attach what is missing."""
        await self._enforcer.in_writer(lambda: self._reconciler.configure(CONFIG_PROXY_UP))
        await self._enforcer.in_writer(self._datapath.prepare_node)
        await self._enforcer.in_writer(self._reconciler.read_back)
        log.info(
            line(
                "programs loaded",
                start="cold" if self._machine.cold else "warm",
                endpoints=len(self._reconciler.realized.endpoint),
            )
        )
        self._attachments.forget_departed()
        snapshot = self._restore_snapshot()
        if snapshot is not None:
            self._node.saved(snapshot)
        self._attachments.adopt_unrecorded(snapshot)
        if snapshot is not None or not self._reconciler.realized.endpoint:
            await self._enforcer.change(
                lambda state: state if snapshot is None else replace(state, snapshot=snapshot), first=True
            )
        else:
            log.warning(line("no snapshot kept: the kernel enforces what it holds until the controller has sent one"))
        await self._enforcer.in_writer(self._attach_node)
        await self._healer.look_at_fast_path()

    def _attach_node(self) -> None:
        existing = {name: index for index, name in podnetns.interfaces().items()}
        for name in self._config.uplinks:
            if name not in existing:
                raise ConfigRefused(f"--uplink {name}: there is no such interface in the node's network namespace")
            self._datapath.attach_uplink(existing[name])
        self._datapath.attach_cgroup(str(self._config.cgroup))

    def _reserve_sets(self, number: int) -> None:
        """A full disk does not stop enforcement; a restart then also looks at the numbers that the kernel holds."""
        try:
            self._endpoints.reserve_sets(number)
        except StateFileError as error:
            log.error(line("set numbers not reserved", why=error))

    def _restore_records(self) -> tuple[LocalEndpoint, ...]:
        try:
            return self._endpoints.load()
        except AgentError as error:
            log.error(line("attachments not restored from their file", why=error))
            return ()

    def _restore_snapshot(self) -> NodeSnapshot | None:
        path = self._config.state / "snapshot.pb"
        if is_outrun(path) and self._reconciler.realized.endpoint:
            # Killed before the newest one was written. Going back to an older one could open what was closed.
            log.warning(line("snapshot not restored", why="the kernel enforces a newer one"))
            return None
        try:
            return load_snapshot(path, self._config.node)
        except StateFileError as error:
            log.error(line("snapshot not restored", why=error))
            return None

    async def _renew(self) -> None:
        """The certificate outlasts a long absence of the controller; a renewed one is used from the next stream on."""
        while True:
            await asyncio.sleep(RENEW_LOOK_S)
            held = self._certificate.validity()
            if held is not None and held.renew_at <= time.time():
                try:
                    await self._certificate.ensure()
                except AgentError as error:
                    log.warning(line("certificate not renewed", why=error))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self._enforcer.sweep()
            except DatapathError as error:
                log.warning(line("sweep failed", why=error))
            if self._untrimmed:
                self._untrimmed = False
                await self._enforcer.in_writer(memory.trim)

    def _changed(self, enforced: Enforced) -> None:
        self._conntrack.changed(enforced)
        self._enforce_times.observe(enforced.took_s)
        self._untrimmed = True

    def _names(self) -> Names:
        return Names(state=self._enforcer.state, numbers=self._enforcer.numbers, policy_of=self._reconciler.policy_of)

    def _read(self) -> Reading:
        states: dict[str, int] = {}
        for life in self._endpoints.lives().values():
            states[life.value] = states.get(life.value, 0) + 1
        realized = self._reconciler.realized
        spent = {key: self._datapath.tables.spent.get(local.id) for key, local in self._enforcer.state.local.items()}
        return Reading(
            counters={key: (c.packets, c.bytes) for key, c in self._datapath.counters().items()},
            gauges=self._datapath.gauges(),
            pressure=self._node.pressure(),
            conntrack_entries=self._conntrack.entries,
            conntrack_fullest=self._conntrack.fullest(),
            conntrack_collected=self._conntrack.collected,
            sockets_destroyed=self._conntrack.destroyed,
            revision=self._node.revision(),
            connected=self._connection.up,
            endpoints=states,
            flow_records_lost=self._flows.lost_total,
            records_lost_by_pod={key: one.unrecorded for key, one in spent.items() if one and one.unrecorded},
            flows_redirected=self._events.redirected,
            policy_sets=len(realized.sets),
            policy_entries=realized.policy_entries,
            changes_failed=self._enforcer.failed,
            hooks_repaired=self._healer.repaired,
            fast_path=not self._fast_path.closed,
            proxy_workers=self._proxy.workers,
            proxy_resets=self._proxy.resets,
            enforce=self._enforce_times,
        )

    async def _end(self) -> None:
        """Nothing is detached; what is not on disk yet is written."""
        try:
            async with asyncio.timeout(STOP_S):
                await self._enforcer.unbroken.ended()
                await self._node.save()
        except TimeoutError:
            log.warning(line("snapshot not saved in time"))
        self._proxy.close()
        self._writer.shutdown(wait=False, cancel_futures=True)
        log.info(line("stopped; programs stay attached", pid=os.getpid()))
