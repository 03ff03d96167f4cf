"""Counters of one worker as plain integers, and verdicts waiting to become flow records.

The request path only adds; `telemetry` reads for Prometheus, `Tallies.take` for the agent. Equal requests with equal
verdict and status become one record with a count. Clients that never ask the same twice would still make a record per
request, so only so many requests with the same grounds are told apart; the others share one that names no path.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from l7proxy.core.authz import Denial, Grounds, Permit
from mesh.model import FlowRecord, HttpRecord, IdentityId, Party, Protocol, Verdict
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
        "log_lines_lost",
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
        self.log_lines_lost = 0
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
        """Records, of all verdicts together."""
        self._waiting: list[Permit | Denial] = []
        self._crowded: list[Grounds] = []
        self._records = 0
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
        counts = verdict.counts
        if status in counts:
            counts[status] += 1
        else:
            self._count_first(verdict, status)

    def _count_first(self, verdict: Permit | Denial, status: int) -> None:
        counts, grounds = verdict.counts, verdict.grounds
        if not counts and grounds.crowd.full:
            self._count_other(grounds, verdict.method, status)
        elif self._has_room():
            if not counts:
                grounds.crowd.told_apart += 1
                self._waiting.append(verdict)
            counts[status] = 1

    def _count_other(self, grounds: Grounds, method: str, status: int) -> None:
        others, key = grounds.crowd.others, (method, status)
        if key in others:
            others[key] += 1
        elif self._has_room():
            if not others:
                self._crowded.append(grounds)
            others[key] = 1

    def _has_room(self) -> bool:
        """Room for one more record, which is taken; what it would have told is lost otherwise."""
        if self._records >= self._limit:
            self.lose(1)
            return False
        self._records += 1
        return True

    def take(self, node: str, now_ns: int, new_id: Callable[[], str]) -> list[FlowRecord]:
        waiting, self._waiting = self._waiting, []
        crowded, self._crowded = self._crowded, []
        self._records = 0
        told: Counter[_Told] = Counter()
        for verdict in waiting:
            for status, count in verdict.counts.items():
                told[_Told(verdict.grounds, verdict.method, verdict.path, verdict.host, status)] += count
        for grounds in crowded:
            for (method, status), count in grounds.crowd.others.items():
                told[_Told(grounds, method, "", "", status)] += count
        for verdict in waiting:
            verdict.counts.clear()
            verdict.grounds.crowd.told_apart = 0
        for grounds in crowded:
            grounds.crowd.others.clear()
        return [_record(one, count, node, now_ns, new_id()) for one, count in told.items()]


class _Told(NamedTuple):
    """What makes requests equal in a record."""

    grounds: Grounds
    method: str
    path: str
    host: str
    status: int


def _record(told: _Told, count: int, node: str, now_ns: int, number: str) -> FlowRecord:
    grounds = told.grounds
    pair, facts = grounds.pair, grounds.pair.facts
    return FlowRecord(
        id=number,
        time_ns=now_ns,
        node=node,
        direction=grounds.direction,
        verdict=Verdict.DENY if grounds.denied else Verdict.ALLOW,
        layer=grounds.layer,
        protocol=Protocol.TCP,
        source=party(pair.source, facts.source_identity, facts.source_ip, facts.source_port),
        destination=party(pair.destination, facts.destination_identity, facts.destination_ip, facts.destination_port),
        service=pair.service,
        drop_reason=grounds.reason,
        rules=grounds.rules,
        http=HttpRecord(method=told.method, path=told.path, status=told.status, host=told.host),
        count=count,
    )


def party(endpoint: PodEndpoint | None, identity: int, ip: str, port: int) -> Party:
    return Party(
        namespace=endpoint.namespace if endpoint else "",
        pod=endpoint.name if endpoint else "",
        service_account=endpoint.service_account if endpoint else "",
        identity=IdentityId(identity),
        ip=ip,
        port=port,
    )
