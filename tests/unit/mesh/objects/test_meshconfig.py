"""MeshConfig."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.objects.kinds import from_document
from mesh.objects.meshconfig import MeshConfig
from tests.support.manifests import Document, refusals


def config(name: str = "default", **spec: Any) -> Document:
    return {"apiVersion": "weft.dev/v1alpha1", "kind": "MeshConfig", "metadata": {"name": name}, "spec": spec}


def test_defaults_and_values() -> None:
    plain, told = from_document(config()), from_document(config(trustDomain="shop.example", denyFeedback="Drop"))
    assert isinstance(plain, MeshConfig)
    assert isinstance(told, MeshConfig)
    assert (plain.trust_domain, plain.deny_feedback) == ("cluster.local", "Reset")
    assert (told.trust_domain, told.deny_feedback) == ("shop.example", "Drop")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (config("other"), "metadata.name: there is one MeshConfig, named 'default'"),
        (config(trustDomain="Shop"), "spec.trustDomain: 'Shop' is not a trust domain"),
        (config(denyFeedback="reset"), "spec.denyFeedback: 'reset' is none of Reset, Drop"),
        (config(mtls={"mode": "Strict"}), "spec.mtls: not supported yet"),
        (config(certificateLifetime="1h"), "spec.certificateLifetime: not supported yet"),
        (config(trustdomain="x"), "spec.trustdomain: unknown field; did you mean 'trustDomain'?"),
    ],
)
def test_bad_configs_are_refused(document: Document, problem: str) -> None:
    (found,) = refusals(document)
    assert found.startswith(problem)
