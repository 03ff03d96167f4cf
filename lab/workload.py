"""The life of one pod: wired, announced to the agent, and only when that says *enforced* started and watched.

It stands for the kubelet's part in a pod. `live` is one task; cancelling it takes the pod down again, in the reverse
order. A container that ends is started again with back-off as restartPolicy says. `changed` tells the supervisor that
`facts` are new.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lab import agentlink, cgroups, readiness
from lab.addressing import DNS4, DNS6
from lab.backoff import Backoff
from lab.names import LabNames
from lab.net import UPLINK, Wires
from lab.plan import Facts
from lab.podspec import ContainerRun, PodRun
from lab.processes import SOURCE_ROOT, Launch, Process, last_lines, plain_environment
from lab.zone import DOMAIN

_ANNOUNCE_S = 15.0
_ANNOUNCE_TRIES_S = 150.0
_READY_WITHIN_S = 5.0
"""`up` waits this long for declared ports to listen, and then says that they do not."""
_BUILT_IN_READY_WITHIN_S = 120.0
"""The built-in servers listen for certain, however busy the machine is."""
_BUILT_IN = (("-m", "lab.echo"), ("-m", "lab.dns"))
_SILENT_PORT = "a TCP port that it declares does not listen"
_DEATHS_THAT_FAIL = 3
_LAST_LINES = 4


def is_built_in(container: ContainerRun) -> bool:
    return container.argv[1:3] in _BUILT_IN


def ready_within_s(containers: Sequence[ContainerRun]) -> float:
    return _BUILT_IN_READY_WITHIN_S if all(map(is_built_in, containers)) else _READY_WITHIN_S


class Workload:
    """One pod on this machine."""

    def __init__(self, spec: PodRun, names: LabNames, wires: Wires, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.facts = Facts()
        self.failure = ""
        """Why it cannot run, with the end of its log; `up` gives up on it."""
        self.settled = False
        """Runs and is ready, or had its time to become so, or has ended."""
        self._names, self._wires, self._changed = names, wires, changed
        self._dir = names.pod_dir(spec.namespace, spec.name)
        self._processes: dict[str, Process] = {}
        self._announced = self._wired = False

    @property
    def cgroup(self) -> str:
        place = self._names.host_pod_cgroup if self.spec.host_network else self._names.pod_cgroup
        return place(self.spec.node, self.spec.namespace, self.spec.name)

    @property
    def netns(self) -> str:
        spec = self.spec
        return self._names.node(spec.node) if spec.host_network else self._names.pod(spec.namespace, spec.name)

    @property
    def logs(self) -> dict[str, str]:
        return {container.name: str(self._log(container)) for container in self._containers}

    @property
    def _containers(self) -> tuple[ContainerRun, ...]:
        return (*self.spec.init_containers, *self.spec.containers)

    def _log(self, container: ContainerRun) -> Path:
        return self._dir / f"{container.name}.log"

    # -- up -----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Until cancelled; then everything of the pod is gone."""
        try:
            await self._prepare()
            for container in self.spec.init_containers:
                if not await self._complete(container):
                    return await self._rest()
            async with asyncio.TaskGroup() as tasks:
                for container in self.spec.containers:
                    tasks.create_task(self._keep(container), name=f"container {self.spec.key} {container.name}")
                tasks.create_task(self._watch_readiness(), name=f"readiness {self.spec.key}")
            await self._rest()
        except ExceptionGroup as group:
            self._fail(str(group.exceptions[0]))
            await self._rest()
        except (agentlink.AgentRefused, agentlink.AgentAway, OSError, RuntimeError, ValueError) as error:
            self._fail(str(error))
            await self._rest()
        finally:
            await asyncio.shield(self._take_down())

    @staticmethod
    async def _rest() -> None:
        await asyncio.Event().wait()

    async def _prepare(self) -> None:
        spec = self.spec
        self._dir.mkdir(parents=True, exist_ok=True)
        cgroups.make(self.cgroup)
        addresses = " ".join(map(str, spec.addresses))
        server = DNS4 if any(address.version == 4 for address in spec.addresses) else DNS6
        search = f"{spec.namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}"
        self._write("resolv.conf", f"nameserver {server}\nsearch {search}\noptions ndots:5\n")
        own = "".join(f"{address}\t{spec.hostname}\n" for address in spec.addresses)
        self._write("hosts", f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}")
        if not spec.host_network:
            self._wired = True
            await self._wires.add_pod(spec.key, spec.node, spec.addresses)
            await self._announce()
        env = dict(self._environment(ContainerRun(name="", argv=())))
        first = self.spec.containers[0] if self.spec.containers else None
        place = self._place()
        place["env"] = {**env, **dict(first.env if first else ()), "WEFT_POD_IPS": addresses}
        self._write("pod.json", json.dumps(place))  # only now: `exec` must not come before enforcement

    def _write(self, name: str, text: str) -> None:
        # in place, never replaced: the file may be bind-mounted into running pods
        (self._dir / name).write_text(text, encoding="utf-8")

    async def _announce(self) -> None:
        """Tell the agent and wait until the pod is enforced; an agent that restarts meanwhile is asked again."""
        spec = self.spec
        socket = self._names.node_dir(spec.node) / "agent.sock"
        deadline = time.monotonic() + _ANNOUNCE_TRIES_S
        while True:
            try:
                await agentlink.call(
                    socket,
                    "endpoint.add",
                    timeout_s=_ANNOUNCE_S + 2,
                    namespace=spec.namespace,
                    pod=spec.name,
                    netns=self._names.netns_path(self.netns),
                    ifname=UPLINK,
                    host_ifname=self._names.pod_link(spec.namespace, spec.name),
                    wait_s=_ANNOUNCE_S,
                )
            except (agentlink.AgentAway, agentlink.AgentRefused) as error:
                if time.monotonic() > deadline:
                    raise
                self._tell(message=f"waits for the agent: {error}")
                await asyncio.sleep(0.2)
            else:
                self._announced = True
                self._tell(message="")
                return

    # -- containers ---------------------------------------------------------------------------------------------

    def _place(self) -> dict[str, object]:
        binds = [[str(self._dir / name), f"/etc/{name}"] for name in ("resolv.conf", "hosts")]
        return {
            "cgroup": str(cgroups.root() / self.cgroup),
            "netns": self._names.netns_path(self.netns),
            "binds": binds,
            "hostname": self.spec.hostname,
        }

    def _environment(self, container: ContainerRun) -> tuple[tuple[str, str], ...]:
        spec = self.spec
        own = {"WEFT_POD": spec.name, "WEFT_NAMESPACE": spec.namespace, "WEFT_NODE": spec.node}
        if is_built_in(container):
            own["PYTHONPATH"] = str(SOURCE_ROOT)
        return plain_environment({"HOSTNAME": spec.hostname, **own, **dict(container.env)})

    def _start(self, container: ContainerRun) -> Process:
        place = self._place()
        launch = Launch(
            argv=container.argv,
            log=self._log(container),
            cgroup=Path(str(place["cgroup"])),
            netns=str(place["netns"]),
            env=self._environment(container),
            cwd=container.working_dir or "/",
            hostname=self.spec.hostname,
            binds=tuple((str(self._dir / name), f"/etc/{name}") for name in ("resolv.conf", "hosts")),
        )
        process = self._processes[container.name] = Process(launch)
        return process

    async def _complete(self, container: ContainerRun) -> bool:
        """Run an init container until it succeeds. False: it failed and may not be tried again."""
        backoff = Backoff()
        while await (process := self._start(container)).wait() != 0:
            backoff = backoff.died(time.monotonic() - process.started)
            self._died(container, process, backoff)
            if self.spec.restart_policy == "Never":
                self._tell(phase="Failed")
                self.settled = True
                return False
            await asyncio.sleep(backoff.wait_s)
        del self._processes[container.name]
        return True

    async def _keep(self, container: ContainerRun) -> None:
        """Run a container as restartPolicy says; returns when it has ended for good."""
        backoff = Backoff()
        policy = self.spec.restart_policy
        while True:
            process = self._start(container)
            self._tell(phase="Running")
            code = await process.wait()
            backoff = backoff.died(time.monotonic() - process.started)
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                if code != 0:
                    self._died(container, process, Backoff(_DEATHS_THAT_FAIL))
                self._ended(failed=code != 0)
                return
            self._died(container, process, backoff)
            await asyncio.sleep(backoff.wait_s)

    def _died(self, container: ContainerRun, process: Process, backoff: Backoff) -> None:
        message = f"container {container.name} ended with exit status {process.exit_code}"
        self._tell(restarts=self.facts.restarts + 1, message=message)
        if backoff.deaths >= _DEATHS_THAT_FAIL or process.exit_code in (126, 127):
            lines = "".join(f"\n    {line}" for line in last_lines(self._log(container), _LAST_LINES))
            self._fail(f"{message}; the end of {self._log(container)}:{lines}")

    def _ended(self, *, failed: bool) -> None:
        others = [process for process in self._processes.values() if process.exit_code is None]
        if not others:
            any_failed = failed or any(process.exit_code for process in self._processes.values())
            self._tell(phase="Failed" if any_failed else "Succeeded", ready=False)
            self.settled = True

    async def _watch_readiness(self) -> None:
        """Ready: every container runs and every declared TCP port listens. Until all containers have ended."""
        started, looks, ready = time.monotonic(), readiness.Looks(), False
        patience_s = ready_within_s(self.spec.containers)
        while self.facts.phase not in ("Succeeded", "Failed"):
            now, running = time.monotonic(), self._running_pids()
            if looks.due(now, running):
                ready = self._is_ready()
                looks = looks.after(now, running, ready=ready)
                if ready != self.facts.ready:
                    self._tell(ready=ready, message="" if ready else _SILENT_PORT)
            waited = now - started
            if not self.settled and (ready or waited > patience_s):
                self.settled = True
                self._tell(message=self.facts.message or ("" if ready else _SILENT_PORT))
            await asyncio.sleep(1.0 if self.facts.ready or waited > patience_s else 0.05)

    def _running_pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self._processes.values() if process.exit_code is None)

    def _is_ready(self) -> bool:
        running = [process for process in self._processes.values() if process.exit_code is None]
        if len(running) < len(self.spec.containers) or not running:
            return False
        try:
            # before the process has moved, its /proc/PID/net is the host's
            inside = os.stat(f"/proc/{running[0].pid}/ns/net").st_ino
            if inside != os.stat(self._names.netns_path(self.netns)).st_ino:
                return False
        except OSError:
            return False
        return readiness.all_listen(running[0].pid, self.spec.tcp_ports)

    # -- down ---------------------------------------------------------------------------------------------------

    async def _take_down(self) -> None:
        """Everything of the pod: processes, endpoint, wires, cgroup, files."""
        running = [process for process in self._processes.values() if process.exit_code is None]
        await asyncio.gather(*(process.stop(self.spec.grace_s) for process in running))
        path = cgroups.root() / self.cgroup
        cgroups.kill(path)
        if self._announced:
            socket = self._names.node_dir(self.spec.node) / "agent.sock"
            with suppress(agentlink.AgentAway, agentlink.AgentRefused):
                # with its attachment: a late word must take no hooks off a pod that came anew under this name
                await agentlink.call(
                    socket,
                    "endpoint.remove",
                    timeout_s=5.0,
                    namespace=self.spec.namespace,
                    pod=self.spec.name,
                    netns=self._names.netns_path(self.netns),
                    host_ifname=self._names.pod_link(self.spec.namespace, self.spec.name),
                )
        if self._wired:
            with suppress(OSError, RuntimeError):
                await self._wires.remove_pod(self.spec.key)
        await asyncio.to_thread(cgroups.remove, path)
        shutil.rmtree(self._dir, ignore_errors=True)

    # -- facts --------------------------------------------------------------------------------------------------

    def _tell(self, **news: object) -> None:
        self.facts = replace(self.facts, **news)  # type: ignore[arg-type]  # names and types are those of Facts
        self._changed()

    def _fail(self, why: str) -> None:
        self.failure = self.failure or f"pod {self.spec.key}: {why}"
        self._tell(message=why.partition("\n")[0])
