"""A short walk of the fuzzer in every test run: always the same seeds. `make fuzz` goes on from random ones."""

from __future__ import annotations

from tests.fuzz.http1 import one, seeds


def test_twenty_thousand_inputs_break_no_rule() -> None:
    asked, answered = seeds()
    for seed in range(20_000):
        one(seed, asked, answered)
