"""What the command line asked for, as every benchmark receives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    rounds: int
    seconds: float
    """How long one measurement lasts."""
    scale: float
    """1 for the sizes of the table; `--quick` shrinks what takes long to set up."""
    scratch: Path
    """Configuration and logs of what was started; removed at the end."""
    progress: Callable[[str], None]

    def scaled(self, size: int) -> int:
        return max(1, int(size * self.scale))
