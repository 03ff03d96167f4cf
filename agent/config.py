"""The agent's configuration: every flag, its default and its reason. Read once; nobody else looks at flags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.datapath.mapnames import SHAPES, map_of
from agent.errors import ConfigRefused
from mesh.journal import LEVELS

PROXY_PORT = 15001
"""Of the listeners on 127.0.0.1 and ::1 in the node's namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    node: str
    controller: str
    """HOST:PORT of the sync port; nodes join on the port after it."""
    join_token_file: Path | None
    state: Path
    instance: str
    """One agent of this machine: names its folder under bpffs."""
    cgroup: Path
    """cgroup v2 folder that holds the node's pods: socket hooks are attached there."""
    uplinks: tuple[str, ...]
    """At least one, on a cluster of one node as well: the world comes in by it, and a flow from there that needs the
    proxy is handed over at tc ingress of an uplink alone."""
    bpffs: Path
    metrics: str | None
    proxy_grace_s: float
    """How long connections wait for a proxy that has gone before they are reset."""
    log_level: str
    flows_per_pod: int = 0
    """Tracked flows that one pod may open, and as many again that it may receive; 0: a share of the map."""
    fast_path: bool = True
    """Known direct flows may pass by the node's IP stack while nothing there would miss them."""
    map_entries: tuple[tuple[str, int], ...] = ()
    """Other sizes of maps than the usual ones, by the map's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UninstallConfig:
    instance: str
    state: Path | None
    cgroup: Path | None
    bpffs: Path


def host_port(text: str, flag: str) -> tuple[str, int]:
    """Split HOST:PORT; IPv6 in brackets."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigRefused(f"{flag}: {text!r} is not HOST:PORT")
    return host, int(port)


LARGEST_MAP = 1 << 24


def _map_entries(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """MAP=N of each flag; a later one wins."""
    found: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        known = map_of(name)
        if known is None or not SHAPES[known].can_fill:
            choices = ", ".join(name.removeprefix("mesh_") for name, shape in SHAPES.items() if shape.can_fill)
            raise ConfigRefused(f"--map-entries: no map {name!r} has a size to choose; there are: {choices}")
        if not number.isdecimal() or not 16 <= int(number) <= LARGEST_MAP:
            raise ConfigRefused(f"--map-entries: {text!r} must be {name}=N with N from 16 to {LARGEST_MAP}")
        found[known] = int(number)
    return tuple(found.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agent", description="weft's agent: one per node")
    commands = parser.add_subparsers(dest="command", metavar="{run,uninstall}")
    run = commands.add_parser("run", help="enforce until told to stop (the default)")
    run.add_argument("--node", required=True, help="the node's name, as its Node object says")
    run.add_argument("--controller", required=True, metavar="HOST:PORT", help="where the controller listens")
    run.add_argument("--join-token-file", type=Path, help="holds the join token; needed until the node has joined")
    run.add_argument("--state", type=Path, required=True, metavar="DIR", help="sockets, key, last good snapshot")
    run.add_argument("--instance", default="node", help="name of this agent on this machine (default: node)")
    run.add_argument("--cgroup", type=Path, required=True, metavar="PATH", help="cgroup v2 folder of the node's pods")
    run.add_argument(
        "--uplink", action="append", required=True, metavar="IFNAME",
        help="interface to other nodes and the world; what comes in by others and needs the proxy is refused",
    )  # fmt: skip
    run.add_argument("--bpffs", type=Path, default=Path("/sys/fs/bpf"), help="where bpffs is mounted")
    run.add_argument("--metrics", metavar="HOST:PORT", help="serve metrics and readiness here")
    run.add_argument("--proxy-grace", type=float, default=10.0, metavar="SECONDS", help="wait for a proxy that is gone")
    run.add_argument(
        "--map-entries", action="append", default=[], metavar="MAP=N",
        help="size of a kernel map, as in policy=524288: more for a large node, less to save memory",
    )  # fmt: skip
    run.add_argument(
        "--flows-per-pod", type=int, default=0, metavar="N",
        help="tracked flows that one pod may open, and as many that it may receive (default: a quarter of map ct)",
    )  # fmt: skip
    run.add_argument(
        "--fast-path", choices=("auto", "off"), default="auto",
        help="let packets of known direct flows pass by the node's IP stack where nothing there would miss them",
    )  # fmt: skip
    run.add_argument("--log-level", choices=LEVELS, default="info")
    uninstall = commands.add_parser("uninstall", help="detach and remove everything of one instance")
    uninstall.add_argument("--instance", default="node")
    uninstall.add_argument("--state", type=Path, metavar="DIR")
    uninstall.add_argument("--cgroup", type=Path, metavar="PATH")
    uninstall.add_argument("--bpffs", type=Path, default=Path("/sys/fs/bpf"))
    return parser


def parse(arguments: Sequence[str]) -> AgentConfig | UninstallConfig:
    """Flags to configuration. ConfigRefused for what only this program can judge; argparse ends with 2 for the rest."""
    words = list(arguments)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words.insert(0, "run")
    found = _parser().parse_args(words)
    if "/" in found.instance or found.instance in ("", ".", ".."):
        raise ConfigRefused(f"--instance: {found.instance!r} must be one name without a slash")
    if found.command == "uninstall":
        return UninstallConfig(instance=found.instance, state=found.state, cgroup=found.cgroup, bpffs=found.bpffs)
    host_port(found.controller, "--controller")
    if found.metrics is not None:
        host_port(found.metrics, "--metrics")
    if not 0 <= found.proxy_grace <= 3600:
        raise ConfigRefused(f"--proxy-grace: {found.proxy_grace} must be from 0 to 3600 seconds")
    if not 0 <= found.flows_per_pod <= LARGEST_MAP:
        raise ConfigRefused(
            f"--flows-per-pod: {found.flows_per_pod} must be from 1 to {LARGEST_MAP}, or 0: the default"
        )
    return AgentConfig(
        node=found.node,
        controller=found.controller,
        join_token_file=found.join_token_file,
        state=found.state,
        instance=found.instance,
        cgroup=found.cgroup,
        uplinks=tuple(found.uplink),
        bpffs=found.bpffs,
        metrics=found.metrics,
        proxy_grace_s=found.proxy_grace,
        log_level=found.log_level,
        flows_per_pod=found.flows_per_pod,
        fast_path=found.fast_path == "auto",
        map_entries=_map_entries(found.map_entries),
    )
