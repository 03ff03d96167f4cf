"""Names, namespaces, labels and annotations."""

from __future__ import annotations

import pytest

from mesh.objects.kinds import from_document
from tests.support.manifests import Document, namespace, pod, refusals


def test_a_missing_namespace_is_default() -> None:
    document = pod()
    del document["metadata"]["namespace"]
    found = from_document(document)
    assert found.key == "default/payments"
    assert found.document["metadata"]["namespace"] == "default"


def test_a_kind_of_the_cluster_has_no_namespace() -> None:
    document = namespace()
    assert from_document(document).key == "shop"
    document["metadata"]["namespace"] = "x"
    assert refusals(document) == ["metadata.namespace: this kind belongs to the cluster, not to a namespace"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "Payments"}, "metadata.name: 'Payments' is not a name"),
        ({"name": None}, "metadata.name: is missing"),
        ({"name": 7}, "metadata.name: expected text, found the number 7"),
        ({"namespace": "a.b"}, "metadata.namespace: 'a.b' is not a name"),
        ({"labels": {"a": True}}, "metadata.labels.a: expected text, found the boolean true; write it in quotes"),
        ({"labels": {"a": 1}}, "metadata.labels.a: expected text, found the number 1; write it in quotes"),
        ({"labels": {"a": "-"}}, "metadata.labels.a: '-' is not a label value"),
        ({"labels": {"a b": "c"}}, "metadata.labels[a b]: 'a b' is not a label key"),
        ({"labels": ["a"]}, "metadata.labels: expected a mapping, found a list"),
        ({"annotations": {"a": 1}}, "metadata.annotations.a: expected text"),
        ({"annotations": {"a": "x" * 300_000}}, "metadata.annotations: more than 262144 bytes"),
        ({"lables": {}}, "metadata.lables: unknown field; did you mean 'labels'?"),
    ],
)
def test_bad_metadata_is_refused(change: Document, problem: str) -> None:
    document = pod()
    document["metadata"].update(change)
    (found,) = refusals(document)
    assert found.startswith(problem)


def test_what_api_servers_write_is_passed_by() -> None:
    document = pod()
    document["metadata"] |= {"uid": "1-2", "resourceVersion": "7", "creationTimestamp": None, "managedFields": [{}]}
    found = from_document(document)
    assert found.metadata.uid == "1-2"
    assert "creationTimestamp" not in found.document["metadata"]


def test_labels_are_sorted() -> None:
    found = from_document(pod(labels={"b": "2", "a": "1"}))
    assert found.metadata.labels == (("a", "1"), ("b", "2"))
