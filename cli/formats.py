"""Rows in the shape that `-o` names. Text out; nothing is printed here.

JSON keys are those of the controller's answers (camelCase, promised): nothing is renamed on the way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from cli.document import Json
from cli.grid import Column, render


class Format(Enum):
    TABLE = "table"
    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    YAML = "yaml"
    JSONL = "jsonl"

    @property
    def for_people(self) -> bool:
        return self in (Format.TABLE, Format.WIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How one sort of row is shown."""

    columns: Sequence[Column]
    name: Callable[[Json], str]
    """For `-o name`, and to tell rows apart while watching."""
    empty: str = "nothing to show"


def as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_json_line(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def as_yaml(value: object) -> str:
    import yaml  # only this format pays for it

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)).rstrip("\n")


def one(value: object, form: Format) -> str:
    """A single document (an object, an answer) in a format for programs."""
    if form is Format.YAML:
        return as_yaml(value)
    return as_json_line(value) if form is Format.JSONL else as_json(value)


def many(
    rows: Sequence[Json],
    form: Format,
    view: View,
    *,
    width: int | None = None,
    colour: bool = False,
    whole: object = None,
    header: bool = True,
) -> str:
    """A listing. `whole` replaces the plain array in json and yaml, where a kind of list is expected (kubectl's)."""
    if form.for_people:
        return render(view.columns, rows, wide=form is Format.WIDE, width=width, colour=colour, header=header)
    if form is Format.NAME:
        return "\n".join(view.name(row) for row in rows)
    if form is Format.JSONL:
        return "\n".join(as_json_line(row) for row in rows)
    return one(whole if whole is not None else list(rows), form)
