"""RE2 behind a small door."""

from __future__ import annotations

import pytest

from mesh.patterns import MAX_PATTERN_BYTES, PatternRefused, compile_pattern


def test_a_pattern_must_match_the_whole_text() -> None:
    pattern = compile_pattern("/v[0-9]+/items")
    assert pattern.fullmatch("/v12/items")
    assert not pattern.fullmatch("/v12/items/7")
    assert not pattern.fullmatch("x/v12/items")


@pytest.mark.parametrize("text", ["a(", "(?=a)", r"(a)\1", "((a{100}){100}){100}", "[z-a]"])
def test_what_re2_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(PatternRefused, match="no RE2 pattern"):
        compile_pattern(text)


def test_a_long_pattern_is_refused() -> None:
    with pytest.raises(PatternRefused, match="bytes long"):
        compile_pattern("a" * (MAX_PATTERN_BYTES + 1))


def test_text_off_the_wire_never_raises() -> None:
    assert compile_pattern("é+").fullmatch("éé")
    assert not compile_pattern("a").fullmatch("\udcff")


def test_a_pattern_that_backtracks_elsewhere_is_linear_here() -> None:
    """Where it is not, this does not end."""
    assert not compile_pattern("(a*)*b").fullmatch("a" * 50_000)
