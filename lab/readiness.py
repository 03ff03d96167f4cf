"""Whether a pod's declared TCP ports listen, read from /proc/PID/net of one of its processes. `listening` is pure."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

_LISTEN = "0A"


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
