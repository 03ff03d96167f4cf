"""Exit statuses and how each end is told."""

from __future__ import annotations

import grpc
import pytest

from cli.errors import DoesNotHold, Problem, Refused, Unreachable
from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft


def test_each_leaf_has_the_promised_exit_status() -> None:
    assert [DoesNotHold("x").exit_code, Unreachable("x").exit_code, Refused([]).exit_code] == [1, 3, 4]


def test_a_problem_is_file_object_field_reason_and_leaves_out_what_is_unknown() -> None:
    whole = Problem(file="a.yaml", object="Pod a/b", field="spec.x", reason="unknown field")
    assert str(whole) == "a.yaml: Pod a/b: spec.x: unknown field"
    assert str(Problem(file="a.yaml", reason="not YAML", line=3)) == "a.yaml: not YAML (line 3)"


def test_refusals_are_shown_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Refused([Problem(file="a", reason="one\ntwo"), Problem(file="b", reason="three")]).show()
    assert capsys.readouterr().err == "a: one two\nb: three\n"


def test_a_problem_of_no_file_begins_with_the_name_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    Refused([Problem(reason="there is no pod shop/x")]).show()
    assert capsys.readouterr().err == "weft: there is no pod shop/x\n"


def test_a_refusal_without_problems_still_says_something(capsys: pytest.CaptureFixture[str]) -> None:
    Refused([]).show()
    assert capsys.readouterr().err == "weft: refused without a reason\n"


def test_other_ends_begin_with_the_name_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    Unreachable("nobody answers").show()
    assert capsys.readouterr().err == "weft: nobody answers\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.NOT_FOUND, 1),
        (grpc.StatusCode.UNAVAILABLE, 3),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 3),
        (grpc.StatusCode.INTERNAL, 3),
        (grpc.StatusCode.INVALID_ARGUMENT, 4),
    ],
)
@pytest.mark.parametrize("command", ["apply -f -", "delete -f -", "get pod a", "delete pod a", "describe pod a"])
def test_one_failure_has_one_exit_status_whatever_was_asked(
    weft: Weft, admin: FakeAdmin, command: str, code: grpc.StatusCode, status: int
) -> None:
    admin.error = (code, "because")
    assert weft(*command.split(), input="text").exit_code == status
