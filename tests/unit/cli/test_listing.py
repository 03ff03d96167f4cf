"""Listings once and watched."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cli import listing
from cli.document import Json, text
from cli.formats import Format, View
from cli.grid import Column
from cli.listing import Listing, changes, run

VIEW = View(
    columns=(
        Column(header="NAME", value=lambda row: text(row, "name")),
        Column(header="N", value=lambda row: text(row, "n")),
    ),
    name=lambda row: text(row, "name"),
    empty="nothing here",
)


def options(form: Format = Format.TABLE, *, watch: bool = False, namespace: str | None = None) -> Listing:
    return Listing(form=form, namespace=namespace, all_namespaces=False, watch=watch)


def script(*pictures: list[Json]) -> Callable[[], list[Json]]:
    """What a fetch gives, one after the other; then the user presses Ctrl-C."""
    left = list(pictures)

    def fetch() -> list[Json]:
        if not left:
            raise KeyboardInterrupt
        return left.pop(0)

    return fetch


def test_a_namespace_narrows_and_its_absence_does_not() -> None:
    assert options(namespace="a").takes("a")
    assert not options(namespace="a").takes("b")
    assert options().takes("b")


def test_changes_are_new_rows_other_rows_and_gone_rows() -> None:
    before: list[Json] = [{"name": "same"}, {"name": "other", "n": 1}, {"name": "gone"}]
    after: list[Json] = [{"name": "same"}, {"name": "other", "n": 2}, {"name": "new"}]
    assert [(text(row, "name"), removed) for row, removed in changes(before, after, VIEW)] == [
        ("other", False),
        ("new", False),
        ("gone", True),
    ]


def test_a_watch_prints_the_table_and_then_what_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "WATCH_INTERVAL_S", 0)
    first: list[Json] = [{"name": "a", "n": 1}]
    run(options(watch=True), VIEW, script(first, first, [{"name": "a", "n": 2}], []))
    assert capsys.readouterr().out == "NAME  N\na     1\na     2\na     2  (removed)\n"


def test_a_watch_in_json_lines_marks_what_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "WATCH_INTERVAL_S", 0)
    run(options(Format.JSONL, watch=True), VIEW, script([{"name": "a"}], []))
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"name": "a"},
        {"name": "a", "removed": True},
    ]


def test_nothing_to_show_is_said_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    run(options(), VIEW, lambda: [])
    assert capsys.readouterr() == ("", "nothing here\n")
