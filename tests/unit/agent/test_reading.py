"""Durations fall into the bucket of the first bound that holds them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.reading import Durations, Reading


def test_a_bound_belongs_to_its_bucket() -> None:
    durations = Durations((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 2.0, 7.0):
        durations.observe(seconds)
    assert durations.counts == [2, 2, 1]
    assert durations.total == 12.0


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_nothing_is_lost(seconds: list[float]) -> None:
    durations = Durations()
    for one in seconds:
        durations.observe(one)
    assert sum(durations.counts) == len(seconds)


def test_readings_do_not_share_their_durations() -> None:
    one, other = Reading(), Reading()
    one.enforce.observe(1.0)
    assert sum(other.enforce.counts) == 0
