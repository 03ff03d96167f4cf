"""The cursor: types are checked, everything wrong is collected, nothing raises."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.objects.reader import Reader, Report, path_text, type_name


def reading(fields: dict[str, Any]) -> tuple[Reader, Report]:
    report = Report("f.yaml", "Pod x")
    return Reader(fields, ("spec",), report), report


def problems(report: Report) -> list[str]:
    return [f"{problem.field}: {problem.reason}" for problem in report.problems]


def test_paths_read_as_people_write_them() -> None:
    assert path_text(("spec", "ingress", 0, "ports", 1, "port")) == "spec.ingress[0].ports[1].port"
    assert path_text(("metadata", "labels", "weft.dev/mesh")) == "metadata.labels[weft.dev/mesh]"


@pytest.mark.parametrize(
    ("method", "value", "reason"),
    [
        ("text", 80, "expected text, found the number 80; write it in quotes"),
        ("text", True, "expected text, found the boolean true; write it in quotes"),
        ("text", [], "expected text, found a list"),
        ("flag", "yes", "expected true or false, found text"),
        ("inside", [], "expected a mapping, found a list"),
        ("each", {}, "expected a list, found a mapping"),
        ("texts", "a", "expected a list, found text"),
    ],
)
def test_wrong_types_are_reported(method: str, value: object, reason: str) -> None:
    reader, report = reading({"field": value})
    getattr(reader, method)("field")
    assert problems(report) == [f"spec.field: {reason}"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (70000, "70000 is not within 1 to 65535"),
        (0, "0 is not within 1 to 65535"),
        ("80", "expected a whole number, found text"),
        (80.5, "expected a whole number, found the number 80.5"),
        (True, "expected a whole number, found the boolean true"),
    ],
)
def test_numbers_have_limits(value: object, reason: str) -> None:
    reader, report = reading({"port": value})
    assert reader.number("port", 1, 65535) is None
    assert problems(report) == [f"spec.port: {reason}"]


def test_null_counts_as_missing() -> None:
    reader, report = reading({"a": None, "b": None, "c": None, "d": None})
    assert (reader.text("a"), reader.number("b", 0, 1), reader.texts("c"), reader.flag("d")) == ("", None, (), False)
    assert not reader.has("a")
    reader.close()
    assert problems(report) == []


def test_items_of_lists_are_found_by_index() -> None:
    reader, report = reading({"items": [{}, 1], "words": ["a", 2]})
    assert len(reader.each("items")) == 1
    assert reader.texts("words") == ("a",)
    assert problems(report) == [
        "spec.items[1]: expected a mapping, found the number 1",
        "spec.words[1]: expected text, found the number 2; write it in quotes",
    ]


def test_an_unknown_field_is_refused_with_the_likely_one() -> None:
    reader, report = reading({"contianers": [], "zzz": 1})
    reader.skip("containers")
    reader.close()
    assert problems(report) == [
        "spec.contianers: unknown field; did you mean 'containers'?",
        "spec.zzz: unknown field",
    ]


def test_a_choice_lists_what_there_is() -> None:
    reader, report = reading({"mode": "Off"})
    assert reader.choice("mode", ("A", "B"), default="A") == "A"
    assert problems(report) == ["spec.mode: 'Off' is none of A, B"]


def test_fields_of_later_versions_are_refused() -> None:
    reader, report = reading({"fqdns": ["a"]})
    reader.not_yet("fqdns", "services")
    reader.close()
    assert problems(report) == ["spec.fqdns: not supported yet"]


def test_pairs_are_sorted_and_checked() -> None:
    reader, report = reading({"labels": {"b": "2", "a": "1", "c": 3}})
    assert reader.pairs("labels", lambda _: None, None) == (("a", "1"), ("b", "2"))
    assert problems(report) == ["spec.labels.c: expected text, found the number 3; write it in quotes"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "nothing"),
        (False, "the boolean false"),
        (1, "the number 1"),
        ("x", "text"),
        ([], "a list"),
        ({}, "a mapping"),
        (10**30, "a huge number"),
    ],
)
def test_type_names_are_those_of_manifests(value: object, name: str) -> None:
    assert type_name(value) == name
