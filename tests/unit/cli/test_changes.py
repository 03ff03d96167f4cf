"""The outcome of apply and delete."""

from __future__ import annotations

import json

import pytest

from cli.changes import joined, report
from cli.client import Applied, Change
from cli.errors import Problem
from cli.formats import Format

DONE = Applied(
    revision=3,
    changes=(
        Change(verb="created", kind="Pod", namespace="shop", name="a"),
        Change(verb="unchanged", kind="Node", namespace="", name="n"),
    ),
    warnings=(Problem(reason="w"),),
)


def test_one_line_for_each_object(capsys: pytest.CaptureFixture[str]) -> None:
    report(DONE, Format.TABLE, suffix=" (dry run)")
    assert capsys.readouterr().out == "Pod shop/a created (dry run)\nNode n unchanged (dry run)\n"


def test_names_only(capsys: pytest.CaptureFixture[str]) -> None:
    report(DONE, Format.NAME)
    assert capsys.readouterr().out == "Pod shop/a\nNode n\n"


def test_a_document_has_revision_changes_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    report(DONE, Format.JSON)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["revision"], len(answer["changes"]), answer["warnings"][0]["reason"]) == (3, 2, "w")


def test_several_outcomes_become_one() -> None:
    both = joined([DONE, Applied(revision=9, changes=(), warnings=())])
    assert (both.revision, both.changes) == (9, DONE.changes)
