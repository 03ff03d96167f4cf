"""What Prometheus sees of the agent (weft_agent_*): made of a `Reading` when somebody asks.

The one home of prometheus_client, which is imported with the first question: four megabytes that an agent which nobody
scrapes does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.flows import drop_reason
from agent.reading import Durations, Reading
from mesh.model import Direction


class ReadingCollector(Collector):
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        yield from _labelled(self._reading)
        yield from _single(self._reading)
        yield _enforce_seconds(self._reading.enforce)


def _labelled(now: Reading) -> Iterator[Metric]:
    packets = CounterMetricFamily(
        "weft_agent_packets", "Packets that the programs forwarded or dropped.", labels=("reason", "direction")
    )
    size = CounterMetricFamily(
        "weft_agent_bytes",
        "Bytes of packets that the programs forwarded or dropped.",
        labels=("reason", "direction"),
    )
    for (reason, direction), (count, octets) in sorted(now.counters.items()):
        labels = ("forwarded" if reason == 0 else drop_reason(reason), Direction(direction).name.lower())
        packets.add_metric(labels, count)
        size.add_metric(labels, octets)
    yield packets
    yield size
    kernel = CounterMetricFamily("weft_agent_datapath_events", "Single counters of the programs.", labels=("event",))
    for name, value in sorted(now.gauges.items()):
        kernel.add_metric((name.replace("_", "-"),), value)
    yield kernel
    pressure = GaugeMetricFamily(
        "weft_agent_map_pressure_ratio",
        "Share of a map's entries in use; of mesh_ct at the last walk.",
        labels=("map",),
    )
    for name, share in sorted(now.pressure.items()):
        pressure.add_metric((name,), share)
    yield pressure
    lost = CounterMetricFamily(
        "weft_agent_pod_records_lost",
        "Flow records that found no room in the kernel's ring, by the pod that sent too much.",
        labels=("namespace", "pod"),
    )
    for pod, count in sorted(now.records_lost_by_pod.items()):
        lost.add_metric(pod.split("/", 1), count)
    yield lost
    states = GaugeMetricFamily("weft_agent_endpoints", "Pods attached to this node, by state.", labels=("state",))
    for state, count in sorted(now.endpoints.items()):
        states.add_metric((state,), count)
    yield states


def _single(now: Reading) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "weft_agent_conntrack_share_ratio",
        "Part of its share in use, of the pod that uses most.",
        now.conntrack_fullest,
    )
    for name, text, value in (
        ("conntrack_entries", "Flows that the kernel tracks, at the last walk.", now.conntrack_entries),
        ("revision", "Revision of the controller's intent that is in force.", now.revision),
        ("controller_connected", "Whether the stream to the controller is open.", int(now.connected)),
        ("policy_sets", "Policy sets in the kernel.", now.policy_sets),
        ("policy_entries", "Policy entries in the kernel.", now.policy_entries),
        ("fast_path", "Whether known direct flows pass by the node's IP stack.", int(now.fast_path)),
        ("proxy_workers", "Proxy workers that have swapped to a view.", now.proxy_workers),
    ):
        yield GaugeMetricFamily(f"weft_agent_{name}", text, value=value)
    for name, text, value in (
        ("conntrack_collected", "Flows whose dead entries were removed.", now.conntrack_collected),
        ("sockets_destroyed", "Idle sockets ended because policy changed.", now.sockets_destroyed),
        ("flow_records_lost", "Flow records that could not be kept.", now.flow_records_lost),
        ("flows_redirected", "Flows handed to the proxy.", now.flows_redirected),
        ("changes_failed", "Changes that the kernel refused; what was in force stays.", now.changes_failed),
        ("hooks_repaired", "Hooks that were gone or replaced, and were put back.", now.hooks_repaired),
        ("proxy_resets", "Queued connections reset because no proxy came.", now.proxy_resets),
    ):
        yield CounterMetricFamily(f"weft_agent_{name}", text, value=value)


def _enforce_seconds(durations: Durations) -> Metric:
    family = HistogramMetricFamily(
        "weft_agent_enforce_seconds", "Time from news to the kernel and all proxy workers agreeing with it."
    )
    bounds = [*(str(bound) for bound in durations.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
    family.add_metric((), buckets=buckets, sum_value=durations.total)
    return family


def page(reading: Reading) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ReadingCollector(reading))
    return generate_latest(registry)
