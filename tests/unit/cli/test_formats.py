"""Every -o of a listing."""

from __future__ import annotations

import json

import pytest
import yaml

from cli.document import text
from cli.formats import Format, View, many, one
from cli.grid import Column

VIEW = View(
    columns=(Column(header="NAME", value=lambda row: text(row, "name")),),
    name=lambda row: f"shop/{text(row, 'name')}",
)
ROWS: list[dict[str, object]] = [{"name": "a", "camelCase": 1}, {"name": "ü"}]


def test_formats_for_people() -> None:
    assert many(ROWS, Format.TABLE, VIEW) == "NAME\na\nü"
    assert many(ROWS, Format.NAME, VIEW) == "shop/a\nshop/ü"


def test_formats_for_programs_carry_the_rows_unchanged() -> None:
    assert json.loads(many(ROWS, Format.JSON, VIEW)) == ROWS
    assert yaml.safe_load(many(ROWS, Format.YAML, VIEW)) == ROWS
    assert [json.loads(line) for line in many(ROWS, Format.JSONL, VIEW).splitlines()] == ROWS


def test_an_empty_listing_is_an_empty_array() -> None:
    assert json.loads(many([], Format.JSON, VIEW)) == []
    assert many([], Format.JSONL, VIEW) == ""


def test_a_whole_replaces_the_array() -> None:
    assert json.loads(many(ROWS, Format.JSON, VIEW, whole={"kind": "List"})) == {"kind": "List"}


@pytest.mark.parametrize(("form", "lines"), [(Format.JSON, 3), (Format.JSONL, 1), (Format.YAML, 1)])
def test_one_document(form: Format, lines: int) -> None:
    assert len(one({"a": 1}, form).splitlines()) == lines
