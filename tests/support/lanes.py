"""The other way of a known flow in a lab: a firewall on its node closes the fast path, so it is routed.

Agents look every two seconds. Inside the block the path is closed, after it the path is open again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.support.cluster import Cluster
from tests.support.waiting import eventually

CLOSED = "the fast path is closed"
FIREWALL = """
from pyroute2.nftables.main import NFTables
nft = NFTables(nfgen_family=2)
nft.table("add", name="firewall")
nft.chain("add", table="firewall", name="rules", hook="forward", type="filter", policy=1)
"""
NO_FIREWALL = """
from pyroute2.nftables.main import NFTables
NFTables(nfgen_family=2).table("del", name="firewall")
"""


def inside(mesh: Cluster, node: str, *words: str) -> str:
    """Run in the node's network namespace."""
    rows = mesh.json("lab", "status")["components"]
    (pid,) = [row["pid"] for row in rows if (row["component"], row["node"]) == ("agent", node)]
    return subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", *words], capture_output=True, text=True, check=True
    ).stdout


def warnings(mesh: Cluster, node: str) -> list[str]:
    """What the node's agent says of itself."""
    return next(list(row["warnings"]) for row in mesh.json("status")["nodes"] if row["name"] == node)


def _is_closed(told: list[str]) -> bool:
    return any(CLOSED in text for text in told)


@contextmanager
def firewall(mesh: Cluster, *nodes: str) -> Iterator[None]:
    for node in nodes:
        inside(mesh, node, sys.executable, "-c", FIREWALL)
    try:
        for node in nodes:
            eventually(partial(warnings, mesh, node), _is_closed)
        yield
    finally:
        for node in nodes:
            inside(mesh, node, sys.executable, "-c", NO_FIREWALL)
        for node in nodes:
            eventually(partial(warnings, mesh, node), lambda told: not _is_closed(told))
