"""What Prometheus sees of a worker: read from the integer slots of `Counters` when somebody asks.

Each worker has a page of its own (port + its number): the query adds them up, and no worker waits for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from l7proxy.core.tally import DURATION_BOUNDS_S, Counters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class CountersCollector(Collector):
    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        yield self._requests()
        yield self._durations()
        yield from _labelled(
            (
                "weft_proxy_refused",
                "Messages of clients refused as malformed, ambiguous, too large or too slow.",
                self._counters.refused,
            ),
            ("weft_proxy_connections_refused", "Connections closed before a byte was read.", self._counters.unaccepted),
            (
                "weft_proxy_upstream_errors",
                "Upstream connections or responses that failed.",
                self._counters.upstream_errors,
            ),
        )
        yield from self._plain()

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "weft_proxy_requests",
            "Requests that got a verdict, by status sent (0: reset, 499: client gone).",
            labels=("code", "decision"),
        )
        for decision, slots in (("allow", self._counters.allowed), ("deny", self._counters.denied)):
            for code, count in sorted(slots.items()):
                family.add_metric((str(code), decision), count)
        return family

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "weft_proxy_request_duration_seconds", "From the end of the request head to the end of the response."
        )
        total = 0
        buckets: list[tuple[str, float]] = []
        bounds = [*(f"{bound:g}" for bound in DURATION_BOUNDS_S), "+Inf"]
        for bound, count in zip(bounds, self._counters.duration_buckets, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric((), buckets=buckets, sum_value=self._counters.duration_sum)
        return family

    def _plain(self) -> Iterator[Metric]:
        slots = self._counters
        for name, text, value in (
            ("weft_proxy_connections", "Client connections accepted.", slots.accepted),
            ("weft_proxy_received_bytes", "Bytes from clients.", slots.bytes_from_client),
            ("weft_proxy_sent_bytes", "Bytes to clients.", slots.bytes_to_client),
            ("weft_proxy_upstream_connections", "Upstream connections opened.", slots.upstream_opened),
            (
                "weft_proxy_upstream_retries",
                "Requests sent again because a reused connection ended.",
                slots.upstream_retries,
            ),
            ("weft_proxy_policy_resets", "Connections cut by a policy change.", slots.reset_by_policy),
            ("weft_proxy_access_log_lines_lost", "Lines that could not be written.", slots.log_lines_lost),
            ("weft_proxy_flow_records_lost", "Flow records that could not be kept or sent.", slots.flows_lost),
        ):
            yield CounterMetricFamily(name, text, value=value)
        for name, text, value in (
            ("weft_proxy_open_connections", "Client connections now.", slots.open_clients),
            ("weft_proxy_open_upstream_connections", "Upstream connections now.", slots.open_upstreams),
            ("weft_proxy_policy_revision", "Revision that requests are authorised by.", slots.revision),
        ):
            yield GaugeMetricFamily(name, text, value=value)


def _labelled(*families: tuple[str, str, dict[str, int]]) -> Iterable[Metric]:
    for name, text, slots in families:
        family = CounterMetricFamily(name, text, labels=("reason",))
        for reason, count in sorted(slots.items()):
            family.add_metric((reason,), count)
        yield family


def page(counters: Counters) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(CountersCollector(counters))
    return generate_latest(registry)
