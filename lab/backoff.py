"""How long to wait before the next start of something that died. Pure: times are passed in."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.2
LONGEST_S = 10.0
HEALTHY_AFTER_S = 10.0
"""Who lived this long starts again from `FIRST_S`."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles with each early death."""

    deaths: int = 0

    def died(self, lived_s: float) -> Backoff:
        return Backoff(1) if lived_s >= HEALTHY_AFTER_S else Backoff(self.deaths + 1)

    @property
    def wait_s(self) -> float:
        return float(min(LONGEST_S, FIRST_S * 2 ** max(0, self.deaths - 1))) if self.deaths else 0.0
