"""Aligned tables. Pure: rows in, text out.

Colours are escape codes around the cell, padded before they are coloured, so that alignment does not count them. Given
a width, columns that may shrink lose their ends (shown by one character) until the row fits, and a last column that may
wrap goes on below itself; without a width, as in a pipe, and in the wide form nothing is cut and a row is one line.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cli.document import Json

GAP = "  "
LEAST_WRAPPED = 40
"""Columns below which a cell is not worth wrapping: it goes on where the row begins."""
_COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36, "dim": 2, "bold": 1}


def paint(text: str, colour: str | None) -> str:
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if colour else text


def hanging(line: str, width: int | None, indent: int) -> list[str]:
    """A line that goes on below, that far in, where it has no room. Its own spaces stay, and no word is broken."""
    if width is None or len(line) <= width:
        return [line]
    return textwrap.wrap(
        line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False, expand_tabs=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    header: str
    value: Callable[[Json], str]
    wide: bool = False
    """Shown by `-o wide` only."""
    right: bool = False
    shrink: bool = False
    """May be cut where the terminal is narrow."""
    wrap: bool = False
    """The last column only: goes on below where the terminal is narrow, broken between words."""
    colours: Mapping[str, str] | None = None
    """Colour by the cell's text."""


def widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Natural widths, then cut from the widest column that may shrink until the row fits."""
    natural = [max([len(column.header), *(len(row[index]) for row in cells)]) for index, column in enumerate(columns)]
    if width is None:
        return natural
    spare = sum(natural) + len(GAP) * (len(columns) - 1) - width
    while spare > 0:
        shrinkable = [
            index
            for index, column in enumerate(columns)
            if column.shrink and natural[index] > max(8, len(column.header))
        ]
        if not shrinkable:
            return natural
        widest = max(shrinkable, key=lambda index: natural[index])
        natural[widest] -= 1
        spare -= 1
    return natural


def line(columns: Sequence[Column], row: Sequence[str], sizes: Sequence[int], *, colour: bool) -> str:
    parts = []
    for column, text, size in zip(columns, row, sizes, strict=True):
        cut = text if len(text) <= size else text[: size - 1] + "…"
        padded = cut.rjust(size) if column.right else cut.ljust(size)
        parts.append(paint(padded, (column.colours or {}).get(text)) if colour else padded)
    return GAP.join(parts).rstrip()


def cells(columns: Sequence[Column], rows: Iterable[Json]) -> list[list[str]]:
    """Control characters in a value must not move the reader's cursor."""
    return [[_printable(column.value(row)) or "-" for column in columns] for row in rows]


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def render(
    columns: Sequence[Column],
    rows: Sequence[Json],
    *,
    wide: bool = False,
    width: int | None = None,
    colour: bool = False,
    header: bool = True,
) -> str:
    """The whole table, ending without a newline."""
    shown = [column for column in columns if wide or not column.wide]
    body = cells(shown, rows)
    if width is not None and not wide and shown[-1].wrap:
        return _wrapped(shown, body, width, colour=colour, header=header)
    sizes = widths(shown, body, None if wide else width)
    lines = [line(shown, row, sizes, colour=colour) for row in body]
    if header:
        head = line(shown, [column.header for column in shown], sizes, colour=False)
        lines.insert(0, paint(head, "bold") if colour else head)
    return "\n".join(lines)


def _wrapped(
    columns: Sequence[Column], body: Sequence[Sequence[str]], width: int, *, colour: bool, header: bool
) -> str:
    """The table with its last column in several lines where it has no room in one."""
    sizes = widths(columns[:-1], [row[:-1] for row in body], width)
    indent = sum(sizes) + len(GAP) * len(sizes)
    beside = width - indent >= LEAST_WRAPPED
    below = " " * (indent if beside else 4)
    last = columns[-1].header
    head = line(columns, [column.header for column in columns], [*sizes, len(last)], colour=False)
    lines = [paint(head, "bold") if colour else head] if header else []
    for row in body:
        pieces = textwrap.wrap(row[-1], width - len(below), break_on_hyphens=False) or ["-"]
        first = pieces.pop(0) if beside or len(row[-1]) <= width - indent else ""
        lines.append(line(columns, [*row[:-1], first], [*sizes, len(first)], colour=colour))
        lines += [below + piece for piece in pieces]
    return "\n".join(lines)
