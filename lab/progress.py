"""What `lab up` shows while the supervisor works: one event per step, as lines for people or as JSON lines.

The supervisor writes events to its standard output, which is a pipe to `up`; if `up` has gone away nobody minds.
`render` is pure.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A step that is done, under way (`state: doing`), or failed; the last one has step `up`."""

    step: str
    state: str
    """doing, done, warning or failed."""
    detail: str = ""
    seconds: float = 0.0
    lines: tuple[str, ...] = ()
    """More lines: problems, or the end of a log."""
    exit_status: int = 0


class Reporter:
    """Writes events to a descriptor until that is closed at the other end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._started = time.monotonic()
        self._open = True

    def tell(
        self, step: str, state: str, detail: str = "", *, lines: tuple[str, ...] = (), exit_status: int = 0
    ) -> None:
        event = Event(
            step=step,
            state=state,
            detail=detail,
            seconds=round(time.monotonic() - self._started, 2),
            lines=lines,
            exit_status=exit_status,
        )
        if self._open:
            try:
                os.write(self._descriptor, json.dumps(asdict(event)).encode() + b"\n")
            except OSError:  # `up` was interrupted
                self._open = False

    def close(self) -> None:
        """After the last event: `up` sees the end of its pipe."""
        self._open = False
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._descriptor)
        os.close(null)


def parse(line: bytes) -> Event:
    fields: dict[str, Any] = json.loads(line)
    return Event(**{**fields, "lines": tuple(fields["lines"])})


_SIGNS = {"doing": " ", "done": "+", "warning": "!", "failed": "x"}
_COLOURS = {"doing": "2", "done": "32", "warning": "33", "failed": "31"}


def render(event: Event, mode: str) -> str:
    """The text of one event, without the last line end. Modes: plain, json, tty."""
    if mode == "json":
        return json.dumps(asdict(event))
    sign = _SIGNS[event.state]
    if mode == "tty":
        sign = f"\x1b[{_COLOURS[event.state]}m{sign}\x1b[0m"
    head = f"{sign} {event.seconds:6.2f} s  {event.step:<11} {event.detail}".rstrip()
    return "\n".join([head, *(f"             {line}" for line in event.lines)])
