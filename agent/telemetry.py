"""Metrics of the agent (weft_agent_*) and a minimal HTTP answerer for them. Values are read when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.flows import drop_reason
from mesh.model import Direction

HEAD_BYTES = 8192
HEAD_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that is measured, at one moment."""

    counters: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """(drop reason, direction) -> packets, bytes; reason 0 is forwarded."""
    gauges: dict[str, int] = field(default_factory=dict)
    """The kernel's single counters by name."""
    pressure: dict[str, float] = field(default_factory=dict)
    conntrack_entries: int = 0
    conntrack_collected: int = 0
    sockets_destroyed: int = 0
    revision: int = 0
    connected: bool = False
    endpoints: dict[str, int] = field(default_factory=dict)
    flow_records_lost: int = 0
    flows_redirected: int = 0
    policy_sets: int = 0
    policy_entries: int = 0
    hooks_repaired: int = 0
    proxy_workers: int = 0
    proxy_resets: int = 0


class _Readings(Collector):
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        now = self._read()
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
        kernel = CounterMetricFamily(
            "weft_agent_datapath_events", "Single counters of the programs.", labels=("event",)
        )
        for name, value in sorted(now.gauges.items()):
            kernel.add_metric((name.replace("_", "-"),), value)
        yield kernel
        pressure = GaugeMetricFamily(
            "weft_agent_map_pressure_ratio", "Share of a map's entries in use.", labels=("map",)
        )
        for name, share in sorted(now.pressure.items()):
            pressure.add_metric((name,), share)
        yield pressure
        states = GaugeMetricFamily("weft_agent_endpoints", "Pods attached to this node, by state.", labels=("state",))
        for state, count in sorted(now.endpoints.items()):
            states.add_metric((state,), count)
        yield states
        for name, text, value in (
            ("conntrack_entries", "Flows that the kernel tracks, at the last walk.", now.conntrack_entries),
            ("revision", "Revision of the controller's intent that is in force.", now.revision),
            ("controller_connected", "Whether the stream to the controller is open.", int(now.connected)),
            ("policy_sets", "Policy sets in the kernel.", now.policy_sets),
            ("policy_entries", "Policy entries in the kernel.", now.policy_entries),
            ("proxy_workers", "Proxy workers that have swapped to a view.", now.proxy_workers),
        ):
            yield GaugeMetricFamily(f"weft_agent_{name}", text, value=value)
        for name, text, value in (
            ("conntrack_collected", "Flows whose dead entries were removed.", now.conntrack_collected),
            ("sockets_destroyed", "Idle sockets ended because policy changed.", now.sockets_destroyed),
            ("flow_records_lost", "Flow records that could not be kept.", now.flow_records_lost),
            ("flows_redirected", "Flows handed to the proxy.", now.flows_redirected),
            ("hooks_repaired", "Hooks that were gone or replaced, and were put back.", now.hooks_repaired),
            ("proxy_resets", "Queued connections reset because no proxy came.", now.proxy_resets),
        ):
            yield CounterMetricFamily(f"weft_agent_{name}", text, value=value)


class Telemetry:
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Readings(read))
        self.enforce_seconds = Histogram(
            "weft_agent_enforce_seconds",
            "Time from news to the kernel and all proxy workers agreeing with it.",
            registry=self._registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
        )

    def text(self) -> bytes:
        return generate_latest(self._registry)

    async def serve(self, host: str, port: int) -> None:
        """GET /metrics and /healthz until cancelled. One request per connection."""
        server = await asyncio.start_server(self._answer, host, port, limit=HEAD_BYTES)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b"\r\n", 1)[0].split(b" ")
            path = words[1] if len(words) == 3 and words[0] == b"GET" else b""
            if path == b"/metrics":
                status, body = b"200 OK", self.text()
            elif path == b"/healthz":
                status, body = b"200 OK", b"ok\n"
            else:
                status, body = b"404 Not Found", b"GET /metrics or /healthz\n"
            kind = b"text/plain; version=0.0.4; charset=utf-8"
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                % (status, kind, len(body))
            )
            writer.write(body)
            await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()
