"""Deployment."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.objects.kinds import from_document
from mesh.objects.workloads import Deployment
from tests.support.manifests import Document, refusals


def deployment(**spec: Any) -> Document:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def test_a_deployment_is_read() -> None:
    found = from_document(deployment(replicas=3, strategy={"type": "Recreate"}))
    assert isinstance(found, Deployment)
    assert (found.replicas, found.template_labels) == (3, (("app", "web"),))
    assert found.template.containers[0].name == "main"


def test_one_replica_is_the_default_and_none_is_possible() -> None:
    found = [from_document(document) for document in (deployment(), deployment(replicas=0))]
    assert [one.replicas for one in found if isinstance(one, Deployment)] == [1, 0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"replicas": -1}, "spec.replicas: -1 is not within"),
        ({"selector": {}}, "spec.selector: must not be empty"),
        ({"selector": {"matchLabels": {"app": "x"}}}, "spec.selector: does not match the labels of template.metadata"),
        ({"template": None}, "spec.template: is missing"),
        ({"replica": 2}, "spec.replica: unknown field; did you mean 'replicas'?"),
    ],
)
def test_bad_deployments_are_refused(change: Document, problem: str) -> None:
    found = refusals(deployment(**change))
    assert any(text.startswith(problem) for text in found), found
