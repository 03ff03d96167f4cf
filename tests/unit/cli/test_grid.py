"""Tables: aligned, cut only where there is a width, coloured outside of the padding."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from cli.document import text
from cli.grid import Column, hanging, paint, render

COLUMNS = (
    Column(header="NAME", value=lambda row: text(row, "name"), shrink=True),
    Column(header="N", value=lambda row: text(row, "n"), right=True),
    Column(header="STATE", value=lambda row: text(row, "state"), colours={"up": "green"}),
    Column(header="MORE", value=lambda row: text(row, "more"), wide=True),
)
ROWS: list[dict[str, object]] = [
    {"name": "short", "n": 7, "state": "up", "more": "x"},
    {"name": "a-much-longer-name", "n": 100},
]


def test_columns_are_aligned_and_what_is_missing_is_a_dash() -> None:
    assert render(COLUMNS, ROWS) == (
        "NAME                  N  STATE\nshort                 7  up\na-much-longer-name  100  -"
    )


WRAPPED = (*COLUMNS[:1], Column(header="WHY", value=lambda row: text(row, "why"), wrap=True))


def test_a_last_column_that_wraps_goes_on_below_itself() -> None:
    found: list[dict[str, object]] = [
        {"name": "a", "why": "one two three four five six seven eight nine"},
        {"name": "bcd"},
    ]
    assert render(WRAPPED, found, width=50).splitlines() == [
        "NAME  WHY",
        "a     one two three four five six seven eight nine",
        "bcd   -",
    ]
    assert render(WRAPPED, found, width=49).splitlines()[1:3] == [
        "a     one two three four five six seven eight",
        "      nine",
    ]
    assert render(WRAPPED, found) == render(WRAPPED, found, width=49, wide=True), "one line in a pipe and where wide"


def test_a_column_that_wraps_stands_below_where_the_others_leave_no_room() -> None:
    found: list[dict[str, object]] = [{"name": "long-name-of-it", "why": "one two three four five six seven"}]
    assert render(WRAPPED, found, width=45).splitlines()[1:] == [
        "long-name-of-it",
        "    one two three four five six seven",
    ]
    assert render(WRAPPED, [{"name": "long-name-of-it", "why": "one two"}], width=45).splitlines()[1:] == [
        "long-name-of-it  one two"
    ]


@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=200)), min_size=1, max_size=5), st.integers(60, 100))
def test_no_line_of_a_column_that_wraps_is_wider_than_the_terminal(found: list[tuple[str, str]], width: int) -> None:
    rows: list[dict[str, object]] = [{"name": name, "why": why} for name, why in found]
    assert all(len(line) <= width for line in render(WRAPPED, rows, width=width).splitlines())


def test_a_line_goes_on_below_between_words() -> None:
    assert hanging("ok    a  one two three", 14, 9) == ["ok    a  one", "         two", "         three"]
    assert hanging("ok    a  one two three", None, 9) == ["ok    a  one two three"]
    assert hanging("/a/very/long/path is whole", 10, 2) == ["/a/very/long/path", "  is whole"]


def test_wide_shows_more() -> None:
    assert render(COLUMNS, ROWS, wide=True).splitlines()[1] == "short                 7  up     x"


def test_a_narrow_terminal_cuts_columns_that_may_shrink() -> None:
    assert render(COLUMNS, ROWS, width=22).splitlines()[2] == "a-much-lo…  100  -"


def test_colours_do_not_move_columns() -> None:
    coloured = render(COLUMNS, ROWS, colour=True)
    assert "\x1b[32mup   \x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured).split() == render(COLUMNS, ROWS).split()


def test_control_characters_cannot_move_the_cursor() -> None:
    assert "\x1b" not in render(COLUMNS, [{"name": "a\x1b[2Jb\nc"}])


def test_paint_without_a_colour_changes_nothing() -> None:
    assert paint("x", None) == "x"


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5), st.integers(30, 100))
def test_no_line_is_wider_than_the_terminal(names: list[str], width: int) -> None:
    rows: list[dict[str, object]] = [{"name": name, "n": 1, "state": "up"} for name in names]
    assert all(len(line) <= width for line in render(COLUMNS, rows, width=width).splitlines())
