"""Label selectors."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.objects.reader import Reader, Report
from mesh.objects.selectors import LabelSelector, read_selector


def read(fields: dict[str, Any]) -> tuple[LabelSelector, list[str]]:
    report = Report("", "")
    selector = read_selector(Reader(fields, ("podSelector",), report))
    return selector, [f"{problem.field}: {problem.reason}" for problem in report.problems]


def expression(operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "app", "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize(
    ("fields", "matching", "other"),
    [
        ({}, [{}, {"app": "a"}], []),
        ({"matchLabels": {"app": "a"}}, [{"app": "a", "x": "y"}], [{}, {"app": "b"}]),
        (expression("In", "a", "b"), [{"app": "a"}, {"app": "b"}], [{}, {"app": "c"}]),
        (expression("NotIn", "a", "b"), [{}, {"app": "c"}], [{"app": "a"}]),
        (expression("Exists"), [{"app": ""}], [{}, {"x": "a"}]),
        (expression("DoesNotExist"), [{}, {"x": "a"}], [{"app": ""}]),
        ({"matchLabels": {"x": "1"}, **expression("In", "a")}, [{"x": "1", "app": "a"}], [{"x": "1"}, {"app": "a"}]),
    ],
)
def test_matching(fields: dict[str, Any], matching: list[dict[str, str]], other: list[dict[str, str]]) -> None:
    selector, problems = read(fields)
    assert problems == []
    assert all(selector.matches(labels) for labels in matching)
    assert not any(selector.matches(labels) for labels in other)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (expression("In"), "podSelector.matchExpressions[0].values: In needs at least one value"),
        (expression("Exists", "a"), "podSelector.matchExpressions[0].values: Exists takes no values"),
        (expression("Equals", "a"), "podSelector.matchExpressions[0].operator: 'Equals' is none of In, NotIn"),
        ({"matchExpressions": [{"operator": "Exists"}]}, "podSelector.matchExpressions[0].key: is missing"),
        ({"matchExpressions": [{"key": "a"}]}, "podSelector.matchExpressions[0].operator: is missing"),
        ({"matchLabels": {"a": 1}}, "podSelector.matchLabels.a: expected text"),
        ({"matchLables": {}}, "podSelector.matchLables: unknown field; did you mean 'matchLabels'?"),
        ({"app": "a"}, "podSelector.app: unknown field"),
    ],
)
def test_bad_selectors_are_refused(fields: dict[str, Any], problem: str) -> None:
    _, problems = read(fields)
    assert [text[: len(problem)] for text in problems] == [problem]


def test_keys_are_those_that_are_asked_for() -> None:
    selector, _ = read({"matchLabels": {"x": "1"}, **expression("Exists")})
    assert selector.keys == {"x", "app"}
