"""Whether a pod's declared TCP ports listen, read from /proc/PID/net of one of its processes, and how often to look.

Pure but for `all_listen`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
_SHORTEST_GAP_S, _LONGEST_GAP_S = 1.0, 10.0
"""10 s is Kubernetes' default period of a probe."""


@dataclass(frozen=True, slots=True)
class Looks:
    """When to look again. Each look makes the kernel print its tables, so they grow rare while a pod is ready and the
    same processes run; a pod that is not ready, or whose processes changed, is looked at every time."""

    running: tuple[int, ...] = ()
    """Process ids at the last look."""
    gap_s: float = 0.0
    next_at: float = 0.0

    def due(self, now: float, running: tuple[int, ...]) -> bool:
        return running != self.running or now >= self.next_at

    def after(self, now: float, running: tuple[int, ...], *, ready: bool) -> Looks:
        if not ready:
            return Looks(running)
        gap = min(2 * self.gap_s, _LONGEST_GAP_S) if running == self.running else 0.0
        gap = max(gap, _SHORTEST_GAP_S)
        return Looks(running, gap, now + gap)


def listening(table: str) -> frozenset[int]:
    """Ports in state LISTEN in the text of /proc/net/tcp or tcp6 (Documentation/networking/proc_net_tcp.rst)."""
    ports = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _LISTEN:
            ports.add(int(fields[1].rpartition(":")[2], 16))
    return frozenset(ports)


def all_listen(pid: int, ports: Collection[int]) -> bool:
    """Every one of `ports` listens in the network namespace of process `pid`. False when it is gone."""
    if not ports:
        return True
    missing = set(ports)
    for name in ("tcp", "tcp6"):
        try:
            text = Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii")
        except OSError:
            continue
        missing -= listening(text)
        if not missing:
            return True
    return False
