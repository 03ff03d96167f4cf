"""How a problem reads."""

from __future__ import annotations

from mesh.objects.errors import ObjectsRefused, Problem


def test_a_problem_names_file_object_field_and_reason() -> None:
    problem = Problem("shop.yaml", "Pod shop/payments", "spec.containers", "is missing", 7)
    assert str(problem) == "shop.yaml: Pod shop/payments: spec.containers: is missing (line 7)"


def test_what_is_not_known_is_left_out() -> None:
    assert str(Problem("shop.yaml", "", "", "is not YAML")) == "shop.yaml: is not YAML"


def test_a_refusal_lists_every_problem() -> None:
    refused = ObjectsRefused([Problem("a", "", "", "x"), Problem("b", "", "", "y")])
    assert str(refused) == "a: x\nb: y"
