"""Who may speak with whom."""

from __future__ import annotations

import pytest

from mesh.api.features import FEATURES, POLICY_HTTP, VERSION, objection, shared


def test_the_same_version_has_nothing_against_itself() -> None:
    assert objection(VERSION, FEATURES) is None
    assert shared(FEATURES) == FEATURES


def test_a_newer_minor_with_more_features_is_spoken_to_in_what_both_know() -> None:
    assert objection("0.9.4", [*FEATURES, "quantum.v1"]) is None
    assert shared([*FEATURES, "quantum.v1"]) == FEATURES


@pytest.mark.parametrize(
    ("version", "features", "reason"),
    [
        ("1.0.0", FEATURES, "does not speak with version"),
        ("banana", FEATURES, "not of the form"),
        (VERSION, [name for name in FEATURES if name != POLICY_HTTP], "lacks policy.http"),
    ],
)
def test_others_are_refused_with_a_reason(version: str, features: list[str], reason: str) -> None:
    assert reason in str(objection(version, features))
