"""Every flag of the proxy, read once into one frozen value. Nobody else looks at arguments or environment."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from l7proxy.core.limits import Limits
from mesh.journal import LEVELS


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    agent_socket: Path
    workers: int = 1
    access_log: str = ""
    """A file, `-` for standard output, empty for none."""
    metrics: tuple[str, int] | None = None
    """Host and port; worker N listens on port + N."""
    drain_s: float = 30.0
    log_level: str = "info"
    limits: Limits = field(default_factory=Limits)


def parse(arguments: Sequence[str]) -> ProxyConfig:
    """Exits with status 2 and a sentence where an argument is wrong."""
    parser = argparse.ArgumentParser(
        prog="l7proxy", description="The node's shared L7 proxy: takes connections that the datapath hands over."
    )
    parser.add_argument("--agent-socket", required=True, type=Path, help="unix socket of the node's agent")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the listening sockets")
    parser.add_argument("--access-log", default="", help="file, - for standard output, empty for none")
    parser.add_argument("--metrics", default="", metavar="HOST:PORT", help="worker N serves /metrics on PORT + N")
    parser.add_argument("--drain-seconds", type=float, default=30.0, help="for requests in flight on stop")
    parser.add_argument("--log-level", default="info", choices=LEVELS)
    given = parser.parse_args(arguments)
    if not 1 <= given.workers <= 256:
        parser.error(f"--workers {given.workers}: give a number from 1 to 256")
    if given.drain_seconds < 0:
        parser.error(f"--drain-seconds {given.drain_seconds}: give 0 or more")
    try:
        metrics = _host_port(given.metrics) if given.metrics else None
    except ValueError:
        parser.error(f"--metrics {given.metrics}: give HOST:PORT, as in 127.0.0.1:15090")
    return ProxyConfig(
        agent_socket=given.agent_socket,
        workers=given.workers,
        access_log=given.access_log,
        metrics=metrics,
        drain_s=given.drain_seconds,
        log_level=given.log_level,
    )


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    number = int(port)
    if not host or not 0 < number < 65536:
        raise ValueError(text)
    return host.strip("[]"), number
