"""How the mesh's own programs are started in a lab: their arguments, place and sign of readiness."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lab import agentlink, cgroups
from lab.addressing import CONTROLLER4
from lab.components import Component
from lab.controlplane import ControlPlane
from lab.names import LabNames
from lab.net import UPLINK
from lab.podspec import Document
from lab.processes import Launch, Process, python_environment

AGENT_FLAGS = "lab.weft.dev/agent-flags"
"""Annotation of a Node: `--proxy-grace 2 --map-entries ct=65536`."""
CONTROLLER_PORT = 15010
_CONTROLLER_METRICS = "127.0.0.1:15014"
_AGENT_METRICS = "127.0.0.1:15012"
_PROXY_METRICS = tuple(f"127.0.0.1:{15100 + 100 * turn}" for turn in range(8))
"""Of the first worker, the next ones follow; in turns, for a proxy that was told to go may still drain."""


def controller(names: LabNames, control: ControlPlane) -> Component:
    """On the fabric, outside of every node."""
    state = names.admin_socket.parent
    state.mkdir(parents=True, exist_ok=True)
    launch = Launch(
        argv=(
            sys.executable, "-m", "controller",
            "--state", str(state),
            "--listen", f"{CONTROLLER4}:{CONTROLLER_PORT}",
            "--admin-socket", str(names.admin_socket),
            "--metrics", _CONTROLLER_METRICS,
        ),
        log=names.log("controller"),
        cgroup=cgroups.make(names.controller_cgroup),
        netns=names.netns_path(names.fabric),
        env=python_environment(),
    )  # fmt: skip

    async def ready(process: Process) -> bool:
        return process.exit_code is None and await control.ready()

    return Component("controller", "", launch, ready, metrics=_CONTROLLER_METRICS)


def agent_flags(node: Document) -> tuple[str, ...]:
    """More flags for a node's agent, from the Node's annotation."""
    annotations = (node.get("metadata") or {}).get("annotations") or {}
    return tuple(annotations.get(AGENT_FLAGS, "").split())


def agent(names: LabNames, node: str, token: str, flags: Sequence[str] = ()) -> Component:
    """In the node's network namespace; its socket hooks are attached to the cgroup of the node's pods."""
    state = names.node_dir(node)
    state.mkdir(parents=True, exist_ok=True)
    token_file = state / "join-token"
    token_file.touch(mode=0o600)
    token_file.write_text(token + "\n", encoding="ascii")
    launch = Launch(
        argv=(
            sys.executable, "-m", "agent",
            "--node", node,
            "--controller", f"{CONTROLLER4}:{CONTROLLER_PORT}",
            "--join-token-file", str(token_file),
            "--state", str(state),
            "--instance", names.instance(node),
            "--cgroup", str(cgroups.make(names.pods_cgroup(node))),
            "--uplink", UPLINK,
            "--metrics", _AGENT_METRICS,
            *flags,
        ),
        log=names.log(f"agent-{node}"),
        cgroup=cgroups.make(names.system_cgroup(node, "agent")),
        netns=names.netns_path(names.node(node)),
        env=python_environment(),
    )  # fmt: skip

    async def ready(process: Process) -> bool:
        return process.exit_code is None and await _answers(state / "agent.sock")

    return Component("agent", node, launch, ready, metrics=_AGENT_METRICS)


def proxy(names: LabNames, node: str, workers: int) -> Component:
    """Beside the agent. A restart overlaps: the new one serves before the old one is told to go."""
    agent_socket = names.node_dir(node) / "agent.sock"

    async def ready(process: Process) -> bool:
        return process.exit_code is None and await _serves(agent_socket, process)

    first, *others = ((_proxy_launch(names, node, workers, metrics), metrics) for metrics in _PROXY_METRICS)
    return Component("proxy", node, first[0], ready, metrics=first[1], successors=others)


def _proxy_launch(names: LabNames, node: str, workers: int, metrics: str) -> Launch:
    return Launch(
        argv=(
            sys.executable, "-m", "l7proxy",
            "--agent-socket", str(names.node_dir(node) / "proxy.sock"),
            "--workers", str(workers),
            "--access-log", str(names.log(f"access-{node}")),
            "--metrics", metrics,
        ),
        log=names.log(f"proxy-{node}"),
        cgroup=cgroups.make(names.system_cgroup(node, "proxy")),
        netns=names.netns_path(names.node(node)),
        env=python_environment(),
    )  # fmt: skip


async def _answers(socket: Path) -> bool:
    try:
        await agentlink.call(socket, "status", timeout_s=2.0)
    except agentlink.AgentRefused:
        return True
    except agentlink.AgentAway:
        return False
    return True


async def _serves(socket: Path, process: Process) -> bool:
    """Some worker of this very proxy is connected to the agent."""
    try:
        status = await agentlink.call(socket, "status", timeout_s=2.0)
    except (agentlink.AgentAway, agentlink.AgentRefused):
        return False
    own = {process.pid, *process.children()}
    return any(pid in own for pid in status.get("proxyPids", ()))
