"""What is measured of the agent, as plain values. Pure; `telemetry` turns them into metrics when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

ENFORCE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Durations:
    """How often something took how long."""

    def __init__(self, bounds: tuple[float, ...] = ENFORCE_BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By upper bound, the last one without; not cumulative."""
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that is measured, at one moment."""

    counters: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """(drop reason, direction) -> packets, bytes; reason 0 is forwarded."""
    gauges: dict[str, int] = field(default_factory=dict)
    """The kernel's single counters by name."""
    pressure: dict[str, float] = field(default_factory=dict)
    conntrack_entries: int = 0
    conntrack_fullest: float = 0.0
    """Of the pod that uses most of its share, the part in use."""
    conntrack_collected: int = 0
    sockets_destroyed: int = 0
    revision: int = 0
    connected: bool = False
    endpoints: dict[str, int] = field(default_factory=dict)
    flow_records_lost: int = 0
    records_lost_by_pod: dict[str, int] = field(default_factory=dict)
    """In the kernel, by `namespace/name` of the pod whose share it was; those that lost none are left out."""
    flows_redirected: int = 0
    policy_sets: int = 0
    policy_entries: int = 0
    changes_failed: int = 0
    hooks_repaired: int = 0
    fast_path: bool = False
    proxy_workers: int = 0
    proxy_resets: int = 0
    enforce: Durations = field(default_factory=Durations)
    """From news to the kernel and all proxy workers agreeing with it."""
