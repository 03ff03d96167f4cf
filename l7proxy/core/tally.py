"""Counters of one worker as plain integers, and verdicts waiting to become flow records.

The request path only adds; `telemetry` reads for Prometheus, `Tallies.take` for the agent. Equal verdicts with equal
status become one record with a count, so a record costs per kind of request, not per request.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from l7proxy.core.authz import Denial, Permit
from mesh.model import Direction, FlowRecord, HttpRecord, IdentityId, Party, Protocol, Verdict
from mesh.snapshot import PodEndpoint

DURATION_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counters:
    """Slots that only grow, but for those named open or revision."""

    __slots__ = (
        "accepted",
        "allowed",
        "bytes_from_client",
        "bytes_to_client",
        "denied",
        "duration_buckets",
        "duration_sum",
        "flows_lost",
        "open_clients",
        "open_upstreams",
        "refused",
        "reset_by_policy",
        "revision",
        "unaccepted",
        "upstream_errors",
        "upstream_opened",
        "upstream_retries",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.allowed: dict[int, int] = {}
        """Status -> requests that were authorised."""
        self.denied: dict[int, int] = {}
        self.refused: dict[str, int] = {}
        """Reason -> messages of clients that were malformed, ambiguous, too large or too slow."""
        self.unaccepted: dict[str, int] = {}
        """Reason -> connections that were closed before a byte was read."""
        self.upstream_errors: dict[str, int] = {}
        self.upstream_opened = 0
        self.upstream_retries = 0
        self.reset_by_policy = 0
        self.bytes_from_client = 0
        self.bytes_to_client = 0
        self.duration_buckets = [0] * (len(DURATION_BOUNDS_S) + 1)
        self.duration_sum = 0.0
        self.flows_lost = 0
        self.open_clients = 0
        self.open_upstreams = 0
        self.revision = 0


def add(slots: dict[str, int], reason: str) -> None:
    """One more of a fixed set of words."""
    slots[reason] = slots.get(reason, 0) + 1


class Tallies:
    """Verdicts that were given since the last flow records. Bounded; what does not fit is counted as lost."""

    def __init__(self, counters: Counters, *, limit: int = 8192) -> None:
        self._counters = counters
        self._limit = limit
        self._waiting: list[Permit | Denial] = []
        self._lost = 0

    def lose(self, count: int) -> None:
        """Records that nobody took."""
        self._lost += count
        self._counters.flows_lost += count

    def take_lost(self) -> int:
        lost, self._lost = self._lost, 0
        return lost

    def count(self, verdict: Permit | Denial, status: int, seconds: float) -> None:
        """An exchange has its outcome."""
        counters = self._counters
        slots = counters.denied if verdict.denied else counters.allowed
        slots[status] = slots.get(status, 0) + 1
        counters.duration_buckets[bisect_left(DURATION_BOUNDS_S, seconds)] += 1
        counters.duration_sum += seconds
        tally = verdict.tally
        counts = tally.counts
        counts[status] = counts.get(status, 0) + 1
        if not tally.listed:
            if len(self._waiting) >= self._limit:
                self.lose(counts.pop(status))
                return
            tally.listed = True
            self._waiting.append(verdict)

    def take(self, node: str, now_ns: int, new_id: Callable[[], str]) -> list[FlowRecord]:
        waiting, self._waiting = self._waiting, []
        records: list[FlowRecord] = []
        for verdict in waiting:
            counts, verdict.tally.counts = verdict.tally.counts, {}
            verdict.tally.listed = False
            records.extend(_record(verdict, status, count, node, now_ns, new_id()) for status, count in counts.items())
        return records


def _record(verdict: Permit | Denial, status: int, count: int, node: str, now_ns: int, number: str) -> FlowRecord:
    pair, facts = verdict.pair, verdict.pair.facts
    denied = isinstance(verdict, Denial)
    direction = verdict.direction if isinstance(verdict, Denial) else _seen_from(pair.facts.ingress)
    request = verdict.request
    return FlowRecord(
        id=number,
        time_ns=now_ns,
        node=node,
        direction=direction,
        verdict=Verdict.DENY if denied else Verdict.ALLOW,
        layer=verdict.layer,
        protocol=Protocol.TCP,
        source=party(pair.source, facts.source_identity, facts.source_ip, facts.source_port),
        destination=party(pair.destination, facts.destination_identity, facts.destination_ip, facts.destination_port),
        service=pair.service,
        drop_reason=verdict.reason if isinstance(verdict, Denial) else "",
        rules=verdict.rules,
        http=HttpRecord(method=request.method, path=request.path[:1024], status=status, host=request.host),
        count=count,
    )


def _seen_from(ingress: bool) -> Direction:
    return Direction.INGRESS if ingress else Direction.EGRESS


def party(endpoint: PodEndpoint | None, identity: int, ip: str, port: int) -> Party:
    return Party(
        namespace=endpoint.namespace if endpoint else "",
        pod=endpoint.name if endpoint else "",
        service_account=endpoint.service_account if endpoint else "",
        identity=IdentityId(identity),
        ip=ip,
        port=port,
    )
