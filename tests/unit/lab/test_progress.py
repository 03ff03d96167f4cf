"""What `up` shows."""

from __future__ import annotations

import json
import os

import pytest

from lab.progress import Event, Reporter, parse, render

EVENT = Event(step="agent", state="failed", detail="node-a", seconds=1.5, lines=("one", "two"), exit_status=1)


def test_events_pass_through_the_pipe_whole() -> None:
    reading, writing = os.pipe()
    report = Reporter(writing)
    report.tell("agent", "failed", "node-a", lines=("one", "two"), exit_status=1)
    report.close()
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        (line,) = lines.readlines()
    event = parse(line)
    assert (event.step, event.state, event.detail, event.lines, event.exit_status) == (
        "agent", "failed", "node-a", ("one", "two"), 1,
    )  # fmt: skip


def test_nobody_minds_when_up_was_interrupted() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    report = Reporter(writing)
    report.tell("agent", "done")
    report.tell("agent", "done")
    os.close(writing)


@pytest.mark.parametrize("mode", ["plain", "tty"])
def test_people_see_the_step_and_its_lines(mode: str) -> None:
    text = render(EVENT, mode)
    assert "agent" in text
    assert text.splitlines()[1:] == ["             one", "             two"]
    assert ("\x1b[" in text) == (mode == "tty")


def test_programs_get_json() -> None:
    assert json.loads(render(EVENT, "json"))["exit_status"] == 1
