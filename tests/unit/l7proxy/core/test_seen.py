from __future__ import annotations

from l7proxy.core.seen import Seen


def test_only_what_was_met_before_is_met_again() -> None:
    seen = Seen()
    assert [seen.again(value) for value in (b"a", b"a", b"b", bytes(bytearray(b"b")))] == [False, True, False, True]


def test_it_always_has_the_same_size_and_forgets_the_longest_unmet() -> None:
    seen = Seen()
    size = len(seen._marks)
    values = [b"%d" % number for number in range(20 * Seen.SLOTS)]
    for value in values:
        seen.again(value)
    assert len(seen._marks) == size
    assert seen.again(values[-1])
    assert sum(seen.again(value) for value in values[: Seen.SLOTS]) < Seen.SLOTS
