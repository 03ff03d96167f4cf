"""What a run of the benchmarks says: rows with a target and whether it was met, for the terminal and as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path

from benchmarks.rounds import Samples


class Sense(Enum):
    AT_LEAST = ">="
    AT_MOST = "<="


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    sense: Sense
    value: float

    def met(self, measured: float) -> bool:
        return measured >= self.value if self.sense is Sense.AT_LEAST else measured <= self.value

    def __str__(self) -> str:
        return f"{self.sense.value} {self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    work: str
    measured: float
    unit: str = ""
    """Empty for a ratio."""
    target: Target | None = None
    """None: for information."""
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.target.met(self.measured) else "short"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one benchmark found: its rows, and every sample behind them."""

    name: str
    rows: Sequence[Row]
    samples: Mapping[str, Samples] = field(default_factory=dict)
    """Label (such as `c=16`) -> the rounds."""


def ratio_row(samples: Samples, work: str, variant: str, against: str, metric: str, target: Target | None) -> Row:
    note = (
        f"{samples.median(variant, metric):,.4g} against {samples.median(against, metric):,.4g}, "
        f"spread {samples.spread(variant, metric):.0%} / {samples.spread(against, metric):.0%}"
    )
    return Row(work=work, measured=samples.ratio(variant, against, metric), target=target, note=note)


def table(sections: Sequence[Section]) -> str:
    """Plain text, aligned; reads the same in a pipe."""
    lines = [("work", "measured", "target", "", "")]
    for section in sections:
        for row in section.rows:
            value = f"{row.measured:,.4g} {row.unit}".strip()
            lines.append((f"{section.name}: {row.work}", value, str(row.target or ""), row.verdict, row.note))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]]).rstrip()
        for line in lines
    )


def write_json(path: Path, environment: Mapping[str, object], sections: Sequence[Section]) -> None:
    document = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": dict(environment),
        "sections": [
            {
                "name": section.name,
                "rows": [
                    {
                        **asdict(row),
                        "target": str(row.target) if row.target else None,
                        "verdict": row.verdict or None,
                    }
                    for row in section.rows
                ],
                "samples": {
                    label: {variant: [dict(one) for one in taken] for variant, taken in found.by_variant.items()}
                    for label, found in section.samples.items()
                },
            }
            for section in sections
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
