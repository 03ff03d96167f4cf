"""The other way of a known flow in a lab: a firewall on its node closes the fast path, so it is routed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.cluster import Cluster

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


@contextmanager
def firewall(mesh: Cluster, node: str) -> Iterator[None]:
    inside(mesh, node, sys.executable, "-c", FIREWALL)
    try:
        yield
    finally:
        inside(mesh, node, sys.executable, "-c", NO_FIREWALL)
