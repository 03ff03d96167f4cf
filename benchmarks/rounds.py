"""Interleaved rounds and their medians.

Each round measures every variant once, beginning with another one each time, so that a slow minute of the machine
meets all of them. A ratio is the median of the rounds' own ratios, not the ratio of two medians: what disturbed a
round disturbed both its halves.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Sample = Mapping[str, float]
"""Metric -> value, of one variant in one round."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What all rounds measured: variant -> one sample per round, in order."""

    by_variant: Mapping[str, Sequence[Sample]]

    def values(self, variant: str, metric: str) -> list[float]:
        return [sample[metric] for sample in self.by_variant[variant]]

    def median(self, variant: str, metric: str) -> float:
        return statistics.median(self.values(variant, metric))

    def ratio(self, variant: str, against: str, metric: str) -> float:
        pairs = zip(self.values(variant, metric), self.values(against, metric), strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def spread(self, variant: str, metric: str) -> float:
        """Half the distance between the extremes, as a share of the median: how far to trust the last digit."""
        values = self.values(variant, metric)
        middle = statistics.median(values)
        return (max(values) - min(values)) / 2 / middle if middle else 0.0


def measure(variants: Mapping[str, Callable[[], Sample]], rounds: int, *, progress: Callable[[str], None]) -> Samples:
    """Run every variant `rounds` times, interleaved."""
    names = list(variants)
    taken: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            sample = variants[name]()
            taken[name].append(sample)
            shown = ", ".join(f"{metric} {value:,.3g}" for metric, value in sample.items())
            progress(f"round {number + 1}/{rounds} {name}: {shown}")
    return Samples(taken)
