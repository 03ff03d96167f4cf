"""Resident memory of a node's agent and one proxy worker, idle, with 100 pods, and what each further pod adds."""

from __future__ import annotations

import time
from contextlib import ExitStack

from benchmarks.crowd import crowded_node
from benchmarks.node import MeshNode
from benchmarks.options import Options
from benchmarks.processes import rss_bytes
from benchmarks.report import Row, Section, Sense, Target
from benchmarks.start import enforced

PODS = 100
FURTHER = 200
SETTLE_S = 5.0
"""The compiler's process has ended and both programs have gone idle by then."""


def run(options: Options) -> Section:
    few, many = options.scaled(PODS), options.scaled(PODS + FURTHER)
    small = _weigh(options, few)
    large = _weigh(options, many)
    total, further = sum(small.values()), (sum(large.values()) - sum(small.values())) / (many - few)
    parts = ", ".join(f"{name} {value / 1e6:.1f} MB" for name, value in small.items())
    return Section(
        name="memory",
        rows=[
            Row(
                work=f"agent and one proxy worker, {few} pods",
                measured=total / 1e6,
                unit="MB",
                target=Target(sense=Sense.AT_MOST, value=90),
                note=parts,
            ),
            Row(
                work=f"each further pod (from {few} to {many})",
                measured=further / 1024,
                unit="KiB",
                target=Target(sense=Sense.AT_MOST, value=10),
            ),
        ],
    )


def _weigh(options: Options, pods: int) -> dict[str, int]:
    with ExitStack() as stack:
        mesh: MeshNode = crowded_node(stack, options, f"memory{pods}", pods)
        agent = mesh.start_agent()
        agent.wait_until(lambda: enforced(mesh) >= pods, 120, f"{pods} enforced pods")
        proxy = mesh.start_proxy()
        proxy.wait_until(mesh.proxy_is_up, 30, "its link to the agent")
        time.sleep(SETTLE_S)
        weighed = {"agent": rss_bytes(agent.tree()), "proxy": rss_bytes(proxy.tree())}
        options.progress(f"memory {pods} pods: " + ", ".join(f"{k} {v / 1e6:.1f} MB" for k, v in weighed.items()))
        return weighed
