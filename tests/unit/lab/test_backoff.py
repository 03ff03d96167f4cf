"""Waiting between starts."""

from __future__ import annotations

from lab.backoff import FIRST_S, HEALTHY_AFTER_S, LONGEST_S, Backoff


def test_it_doubles_up_to_a_limit_and_starts_over_after_a_good_life() -> None:
    backoff, waits = Backoff(), []
    for _ in range(10):
        backoff = backoff.died(0.1)
        waits.append(backoff.wait_s)
    assert Backoff().wait_s == 0
    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert max(waits) == LONGEST_S
    assert backoff.died(HEALTHY_AFTER_S).wait_s == FIRST_S
