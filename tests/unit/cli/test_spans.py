"""Spans, instants and ages."""

from __future__ import annotations

import click
import pytest

from cli.spans import age, clock, instant_ns, seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("7", 7), ("250ms", 0.25)]
)
def test_spans(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "h", "5 m", "-5m", "1y", "abc"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no span of time"):
        seconds(text)


def test_since_is_a_span_before_now_or_an_instant() -> None:
    assert instant_ns("2s", now_ns=10_000_000_000) == 8_000_000_000
    assert instant_ns("1970-01-01T00:00:01.5Z", now_ns=0) == 1_500_000_000
    assert instant_ns("99d", now_ns=5) == 1, "zero would mean that nothing was asked"
    with pytest.raises(click.BadParameter):
        instant_ns("2026-13-01T00:00:00Z", now_ns=0)


def test_the_clock_takes_nanoseconds_and_leaves_what_is_no_time() -> None:
    assert clock("2026-01-02T12:01:03.123456789Z").endswith(":01:03.123")
    assert clock("later") == "later"


@pytest.mark.parametrize(("ago", "expected"), [(-1, "0s"), (119, "119s"), (120, "2m"), (7500, "2h5m"), (400_000, "4d")])
def test_ages(ago: float, expected: str) -> None:
    assert age(ago) == expected
