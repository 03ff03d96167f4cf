"""How long an agent takes from its start until every pod is enforced: warm and cold.

Warm: programs and maps are pinned, as after a restart or an upgrade; enforcement never stopped. Cold: nothing is
pinned, so the unit is compiled and loaded, as on a node that never ran weft. Both know their last snapshot and pods.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.crowd import crowded_node
from benchmarks.node import MeshNode
from benchmarks.options import Options
from benchmarks.processes import Program
from benchmarks.report import Row, Section, Sense, Target
from benchmarks.rounds import Sample, measure
from benchmarks.topology import WORK_CPU

PODS = 100
TARGETS = {"warm": 1.0, "cold": 3.0}


def run(options: Options) -> Section:
    pods = options.scaled(PODS)
    with ExitStack() as stack:
        mesh = crowded_node(stack, options, "start", pods)
        running: list[Program] = [_start(mesh, pods)]

        def again(*, cold: bool) -> Callable[[], Sample]:
            def once() -> Sample:
                running.pop().stop(by=signal.SIGKILL)
                if cold:
                    mesh.uninstall()
                began = time.monotonic()
                running.append(_start(mesh, pods))
                return {"seconds": time.monotonic() - began}

            return once

        variants = {"warm": again(cold=False), "cold": again(cold=True)}
        samples = measure(variants, options.rounds, progress=lambda text: options.progress(f"start {text}"))
    rows = [
        Row(
            work=f"{name}, {pods} pods",
            measured=samples.median(name, "seconds"),
            unit="s",
            target=Target(sense=Sense.AT_MOST, value=limit),
        )
        for name, limit in TARGETS.items()
    ]
    return Section(name="start", rows=rows, samples={f"{pods} pods": samples})


def _start(mesh: MeshNode, pods: int) -> Program:
    agent = mesh.start_agent(cpu=WORK_CPU)
    agent.wait_until(lambda: enforced(mesh) >= pods, 120, f"{pods} enforced pods")
    return agent


def enforced(mesh: MeshNode) -> int:
    """Pods that the agent reports as enforced; 0 while it does not answer."""
    try:
        status = mesh.call("status")
    except OSError:
        return 0
    return int(status["endpointsEnforced"])
