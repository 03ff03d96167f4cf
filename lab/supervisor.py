"""The one process that outlives `lab up`: it stands for kubelet, scheduler, systemd and the cluster's own controllers.

It starts the controller, applies the manifests, and from then on follows the objects: nodes get a namespace, an agent
and a proxy, Deployments get pods, pods get a place, addresses, wires and a process, Services get EndpointSlices, the
DNS zone is kept. What to do is decided by `lab.plan`; this file does it, in one task group. Started by `lab.up`,
asked by `lab.calls`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Coroutine
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

from lab import programs
from lab.addressing import NodeAddresses, parse_addresses, plan_node
from lab.calls import CallServer
from lab.components import Component, NotReady
from lab.controlplane import ControllerAway, ControlPlane, Refused
from lab.names import LabNames
from lab.net import Wires, WiringFailed
from lab.plan import KINDS, Placement, Plan, plan
from lab.podspec import Document, PodRun, key_of
from lab.progress import Reporter
from lab.workload import Workload
from lab.zone import build as build_zone

_DEBOUNCE_S = 0.02
_UP_WITHIN_S = 180.0
_SETTLE_POLL_S = 0.1


class UpFailed(RuntimeError):
    """`up` cannot be completed; `lines` for a person."""

    def __init__(self, message: str, lines: tuple[str, ...] = (), exit_status: int = 1) -> None:
        super().__init__(message)
        self.lines, self.exit_status = lines, exit_status


class Supervisor:
    """One lab. `run` is the whole life."""

    def __init__(self, names: LabNames, report: Reporter, *, workers: int) -> None:
        self.names, self._report, self._workers = names, report, workers
        self.components: list[Component] = []
        self.workloads: dict[str, Workload] = {}
        self.stop = asyncio.Event()
        self._wires = Wires(names)
        self._control = ControlPlane(names.admin_socket)
        self._nodes: dict[str, NodeAddresses] = {}
        self._objects: dict[str, dict[str, Document]] = {kind: {} for kind in KINDS}
        self._synced = False
        self._dirty = asyncio.Event()
        self._idle = False
        self._problems: tuple[str, ...] = ()
        self._starting: set[str] = set()
        """Nodes whose agent or proxy is not up yet."""
        self._broken_nodes: dict[str, str] = {}
        self._trouble = ""
        self._tried: dict[str, tuple[Document | None, Document]] = {}
        self._tasks: dict[str, tuple[asyncio.Task[None], PodRun]] = {}
        self._zone_text = ""

    async def run(self, files: list[tuple[str, str]]) -> None:
        """Until `stop` is set or a signal comes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        async with asyncio.TaskGroup() as tasks:
            self._group = tasks
            tasks.create_task(CallServer(self).serve(), name="calls")
            tasks.create_task(self._bring_up(files), name="bring up")
            await self.stop.wait()
            await self._end()
            raise asyncio.CancelledError  # ends every task of the group

    async def _end(self) -> None:
        """Pods end by cgroup when `down` comes; here the programs are only told to."""
        await asyncio.gather(*(component.end() for component in self.components))

    # -- up -----------------------------------------------------------------------------------------------------

    async def _bring_up(self, files: list[tuple[str, str]]) -> None:
        try:
            await self._start(files)
            await self._settle()
        except UpFailed as error:
            self._report.tell("up", "failed", str(error), lines=error.lines, exit_status=error.exit_status)
        except (NotReady, ControllerAway, OSError, RuntimeError) as error:
            head, *rest = str(error).splitlines()
            self._report.tell("up", "failed", head, lines=tuple(rest), exit_status=1)
        else:
            self._report.tell("up", "done", f"lab {self.names.lab}: {len(self.workloads)} pods run, all are enforced")
        self._report.close()

    async def _start(self, files: list[tuple[str, str]]) -> None:
        await self._wires.add_fabric()
        self._report.tell("network", "done", "bridge and world")
        await self._start_component(programs.controller(self.names, self._control))
        try:
            warnings = await self._control.apply_texts(files)
        except Refused as error:
            raise UpFailed("the manifests are refused", error.problems, exit_status=4) from error
        for warning in warnings:
            self._report.tell("manifests", "warning", warning)
        self._report.tell("manifests", "done", f"{len(files)} files applied")
        self._group.create_task(self._follow(), name="watch")
        self._group.create_task(self._reconcile(), name="reconcile")

    async def _start_component(self, component: Component) -> None:
        self.components.append(component)
        self._group.create_task(component.keep(), name=component.title)
        await component.wait_ready()
        self._report.tell(component.kind, "done", component.node or "ready")

    async def _settle(self) -> None:
        """Wait until all that was asked for is in force and runs."""
        deadline = time.monotonic() + _UP_WITHIN_S
        said = 0
        while True:
            failures = [workload.failure for workload in self.workloads.values() if workload.failure]
            failures = [*self._broken_nodes.values(), *failures, *self._problems, self._trouble]
            failures = [text for text in failures if text]
            if failures:
                lines = tuple(line for text in failures[1:4] for line in text.splitlines())
                head, *rest = failures[0].splitlines()
                raise UpFailed(head, (*rest, *lines))
            settled = sum(workload.settled for workload in self.workloads.values())
            if settled != said:
                said = settled
                self._report.tell("pods", "doing", f"{settled} of {len(self.workloads)} run")
            at_rest = self._idle and not self._starting and settled == len(self.workloads)
            if at_rest and await self._enforced():
                break
            if time.monotonic() > deadline:
                raise UpFailed(f"not up after {_UP_WITHIN_S:.0f} s", await self._what_is_missing())
            await asyncio.sleep(_SETTLE_POLL_S)
        for key, workload in sorted(self.workloads.items()):
            if workload.facts.phase == "Running" and not workload.facts.ready:
                self._report.tell("pods", "warning", f"{key} is not ready: {workload.facts.message}")

    async def _enforced(self) -> bool:
        try:
            return bool((await self._control.status()).get("settled"))
        except ControllerAway:
            return False

    async def _what_is_missing(self) -> tuple[str, ...]:
        lines = [f"pod {key}: {w.facts.message or w.facts.phase}" for key, w in self.workloads.items() if not w.settled]
        with suppress(ControllerAway):
            status = await self._control.status()
            for node in status.get("nodes", ()):
                at = f"enforces revision {node.get('enforcedRevision')} of {node.get('revision')}"
                lines.append(f"node {node.get('name')} is {node.get('state')}, {at}")
        return tuple(lines)

    # -- objects ------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Keep `_objects` as the controller has them, across its restarts."""
        while True:
            fresh: dict[str, dict[str, Document]] | None = {kind: {} for kind in KINDS}
            try:
                async for event in self._control.watch(KINDS):
                    target = self._objects if fresh is None else fresh
                    if event.verb == "synced" and fresh is not None:
                        self._objects, fresh, self._synced = fresh, None, True
                    elif event.document is not None and event.document.get("kind") in target:
                        held = target[event.document["kind"]]
                        if event.verb == "remove":
                            held.pop(key_of(event.document), None)
                        else:
                            held[key_of(event.document)] = event.document
                    if fresh is None:
                        self._touch()
            except ControllerAway:
                await asyncio.sleep(0.2)

    def _touch(self) -> None:
        self._idle = False
        self._dirty.set()

    async def _reconcile(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_DEBOUNCE_S)
            self._dirty.clear()
            if not self._synced:
                continue
            try:
                await self._add_nodes()
                done = await self._carry_out(self._plan())
            except ControllerAway:
                await asyncio.sleep(0.3)
                self._dirty.set()
            except Refused as error:
                self._trouble = f"the controller refused what the lab wrote: {error}"
            except (WiringFailed, OSError) as error:
                self._trouble = f"the network cannot be built: {error}"
            except (ValueError, KeyError, TypeError) as error:
                # what the controller let in although the lab cannot read it: the programs are still looked after
                self._trouble = f"an object cannot be carried out: {type(error).__name__}: {error}"
            else:
                self._trouble = ""
                self._idle = done and not self._dirty.is_set()

    def _plan(self) -> Plan:
        facts = {key: workload.facts for key, workload in self.workloads.items()}
        placed = {
            key: Placement(spec.node, spec.addresses)
            for key, (_, spec) in self._tasks.items()
            if spec.node in self._nodes
        }
        return plan(self._objects, facts, self._nodes, placed)

    async def _carry_out(self, wanted: Plan) -> bool:
        """True when nothing had to be written: the objects say what is."""
        self._problems = wanted.problems
        self._run_pods(wanted)
        self._write_zone()
        writes = [document for document in wanted.write if self._is_news(document)]
        if writes:
            await self._control.write(writes)
        for kind, namespace, name in wanted.delete:
            await self._control.delete(kind, namespace, name)
        return not writes and not wanted.delete

    def _is_news(self, document: Document) -> bool:
        """False where the same write on the same object did not stick before: it would go on for ever."""
        slot = f"{document['kind']} {key_of(document)}"
        attempt = (self._objects.get(document["kind"], {}).get(key_of(document)), document)
        if self._tried.get(slot) == attempt:
            return False
        self._tried[slot] = attempt
        return True

    def _write_zone(self) -> None:
        held = self._objects
        zone = build_zone(held["Service"].values(), held["EndpointSlice"].values(), held["Pod"].values())
        text = json.dumps(zone)
        if text != self._zone_text:
            fresh = self.names.zone.with_suffix(".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self.names.zone)
            self._zone_text = text

    # -- nodes and pods -----------------------------------------------------------------------------------------

    async def _add_nodes(self) -> None:
        for name, document in sorted(self._objects["Node"].items()):
            if name in self._nodes:
                continue
            spec, status = document.get("spec") or {}, document.get("status") or {}
            cidrs = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
            given = [a["address"] for a in status.get("addresses") or () if a.get("type") == "InternalIP"]
            addresses = plan_node(
                parse_addresses(given), tuple(ip_network(text) for text in cidrs), tuple(self._nodes.values())
            )
            await self._wires.add_node(name, addresses)
            self._nodes[name] = addresses
            token = await self._control.create_token(name)
            self._starting.add(name)
            flags = programs.agent_flags(document)
            self._group.create_task(self._start_node(name, token, flags), name=f"node {name}")

    async def _start_node(self, name: str, token: str, flags: tuple[str, ...]) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._start_component(programs.agent(self.names, name, token, flags)))
                both.create_task(self._start_component(programs.proxy(self.names, name, self._workers)))
        except* NotReady as errors:
            self._broken_nodes[name] = str(errors.exceptions[0])
        else:
            self._starting.discard(name)

    def _run_pods(self, wanted: Plan) -> None:
        for key, (task, spec) in list(self._tasks.items()):
            other = wanted.run.get(key)
            if other is None or other.digest != spec.digest or other.node != spec.node:
                if task.done():
                    del self._tasks[key]
                    self.workloads.pop(key, None)
                else:
                    task.cancel()
        for key, spec in wanted.run.items():
            if key not in self._tasks:
                workload = Workload(spec, self.names, self._wires, self._touch)
                self.workloads[key] = workload
                task = self._group.create_task(workload.live(), name=f"pod {key}")
                task.add_done_callback(lambda _: self._touch())
                self._tasks[key] = (task, spec)

    # -- for lab.calls ------------------------------------------------------------------------------------------

    def describe_pods(self) -> list[dict[str, Any]]:
        return [
            {
                "namespace": workload.spec.namespace,
                "name": workload.spec.name,
                "node": workload.spec.node,
                "ips": [str(address) for address in workload.spec.addresses],
                "phase": workload.facts.phase,
                "ready": workload.facts.ready,
                "restarts": workload.facts.restarts,
                "message": workload.facts.message,
            }
            for _, workload in sorted(self.workloads.items())
        ]

    def linger(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task of the supervisor's own group, for what a call leaves behind."""
        self._group.create_task(work, name=name)


def main(names: LabNames, workers: int) -> int:
    """The daemon's body: standard output is the pipe to `up`, standard error the log."""
    given = json.loads(names.manifests.read_text(encoding="utf-8"))
    names.supervisor_pid.write_text(f"{os.getpid()}\n", encoding="ascii")
    report = Reporter(1)
    with suppress(asyncio.CancelledError):
        asyncio.run(_run(names, report, workers, [(file, text) for file, text in given["files"]]))
    return 0


async def _run(names: LabNames, report: Reporter, workers: int, files: list[tuple[str, str]]) -> None:
    await Supervisor(names, report, workers=workers).run(files)
