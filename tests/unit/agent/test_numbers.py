"""Numbers for sets of rules and services."""

from __future__ import annotations

from agent.numbers import KEEP_S, NumberTable


def test_a_restarted_agent_gives_the_same_numbers() -> None:
    assert NumberTable(str).number("shop/web") == NumberTable(str).number("shop/web")


def test_numbers_tell_things_apart_and_are_never_zero() -> None:
    table: NumberTable[str] = NumberTable(str)
    numbers = {table.number(f"s{n}") for n in range(500)}
    assert len(numbers) == 500
    assert 0 not in numbers


def test_a_collision_moves_on_to_another_number() -> None:
    table: NumberTable[tuple[int, str]] = NumberTable(lambda item: item[1])
    one, other = table.number((1, "same")), table.number((2, "same"))
    assert one != other
    assert table.item(other) == (2, "same")


def test_unused_numbers_stay_explainable_for_a_while() -> None:
    table: NumberTable[str] = NumberTable(str)
    number = table.number("a")
    assert table.retire((), 0.0) == 0
    assert table.item(number) == "a"
    assert table.retire((), KEEP_S) == 1
    assert table.item(number) is None


def test_use_starts_the_time_anew() -> None:
    table: NumberTable[str] = NumberTable(str)
    number = table.number("a")
    table.retire((), 0.0)
    table.retire({number}, KEEP_S / 2)
    assert table.retire((), KEEP_S) == 0
