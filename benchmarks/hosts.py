"""Hosts for the benchmarks: network namespaces and the links between them, removed at the end.

Everything carries one prefix, so that what a killed run left behind is found and removed by the next.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

PREFIX = "weftbench-"


class BenchmarkFailed(Exception):
    """A measurement could not be made. The text says what and why."""


def command(words: Sequence[str], *, given: str | None = None) -> str:
    """Run to the end; BenchmarkFailed carries the tool's own words."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, input=given, check=False)
    except FileNotFoundError:
        raise BenchmarkFailed(f"{words[0]} is not installed: see benchmarks/packages.txt") from None
    if done.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(words)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Host:
    """One namespace."""

    name: str

    @property
    def netns(self) -> Path:
        return Path("/run/netns") / self.name

    def enter(self, words: Sequence[str], *, cpu: int | None = None, cgroup: Path | None = None) -> list[str]:
        """The command that runs `words` there. Unlike `ip netns exec` it leaves /sys, and so bpffs, as it is."""
        entered = ["nsenter", f"--net={self.netns}"]
        if cgroup is not None:
            entered += ["sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh"]
        if cpu is not None:
            entered += ["taskset", "--cpu-list", str(cpu)]
        return [*entered, *words]

    def run(self, *words: str, cpu: int | None = None, cgroup: Path | None = None) -> str:
        return command(self.enter(words, cpu=cpu, cgroup=cgroup))

    def ip(self, batch: str) -> None:
        """Several `ip` commands, one a line."""
        command(["ip", "-netns", self.name, "-batch", "-"], given=batch)

    def forward(self) -> None:
        """Make a router of it. Reverse-path filters would drop the proxy's transparently bound traffic."""
        self.run(
            "sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
        )  # fmt: skip


@dataclass(slots=True)
class Network:
    """The hosts of one benchmark; a context manager that removes them."""

    label: str
    hosts: list[Host] = field(default_factory=list)

    def __enter__(self) -> Network:
        self._remove(left for left in _namespaces() if left.startswith(f"{PREFIX}{self.label}-"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._remove(host.name for host in self.hosts)
        self.hosts.clear()

    def _remove(self, names: Iterable[str]) -> None:
        for name in list(names):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def host(self, name: str) -> Host:
        host = Host(f"{PREFIX}{self.label}-{name}")
        command(["ip", "netns", "add", host.name])
        self.hosts.append(host)
        host.ip("link set lo up\n")
        return host

    def named(self, name: str) -> Host:
        """A host made before."""
        return next(host for host in self.hosts if host.name == f"{PREFIX}{self.label}-{name}")

    def link(self, one: Host, ifname_one: str, other: Host, ifname_other: str) -> None:
        """A veth pair between two hosts, both ends up."""
        ends = (ifname_one, "netns", one.name, "type", "veth", "peer", "name", ifname_other, "netns", other.name)
        command(["ip", "link", "add", *ends])
        one.ip(f"link set {ifname_one} up\n")
        other.ip(f"link set {ifname_other} up\n")


def _namespaces() -> list[str]:
    return [line.split()[0] for line in command(["ip", "netns", "list"]).splitlines() if line]
