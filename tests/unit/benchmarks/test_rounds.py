"""Rounds are interleaved, and ratios are taken round by round."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.rounds import Sample, Samples, measure


def test_every_round_begins_with_another_variant() -> None:
    order: list[str] = []

    def variant(name: str) -> Callable[[], Sample]:
        def once() -> Sample:
            order.append(name)
            return {"x": 1.0}

        return once

    measure({name: variant(name) for name in "abc"}, 3, progress=lambda text: None)
    assert "".join(order) == "abcbcacab"


def test_a_disturbance_that_meets_both_halves_of_a_round_leaves_the_ratio() -> None:
    ours, theirs = [{"x": 20.0}, {"x": 2.0}, {"x": 22.0}], [{"x": 10.0}, {"x": 1.0}, {"x": 11.0}]
    samples = Samples({"ours": ours, "theirs": theirs})
    assert samples.ratio("ours", "theirs", "x") == 2.0
    assert samples.median("ours", "x") == 20.0


def test_spread_is_half_the_range_over_the_median() -> None:
    samples = Samples({"ours": [{"x": 90.0}, {"x": 100.0}, {"x": 110.0}]})
    assert samples.spread("ours", "x") == 0.1
