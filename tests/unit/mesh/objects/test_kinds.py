"""The table of kinds, and the door as a whole: whatever comes in, an object or a refusal comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.objects.errors import ObjectsRefused
from mesh.objects.kinds import KINDS, MAX_DEPTH, from_document
from tests.support.manifests import Document, mesh_policy, namespace, network_policy, node, pod, refusals

RULE = {
    "from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}},
             {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
    "ports": [{"port": 80, "endPort": 90}, {"port": "http", "protocol": "UDP"}],
}  # fmt: skip
VALID: tuple[Document, ...] = (
    namespace(),
    node(),
    pod("shop/a", "10.0.0.1", "fd00::1", ports=[{"containerPort": 80, "name": "http"}]),
    network_policy(ingress=[RULE], policyTypes=["Ingress"]),
    mesh_policy(ingress=[{**RULE, "ports": [{"port": 80}], "http": [{"paths": [{"regex": "/a.*"}]}]}]),
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}},
    {"apiVersion": "weft.dev/v1alpha1", "kind": "MeshConfig", "metadata": {"name": "default"}},
)


@pytest.mark.parametrize("document", VALID, ids=lambda document: document["kind"])
def test_a_document_is_read_again_as_the_same_object(document: Document) -> None:
    found = from_document(document)
    again = from_document(json.loads(json.dumps(found.document)))
    assert again == found
    assert again.document == found.document
    assert hash(again) == hash(found)
    assert str(found) == f"{found.kind} {found.key}"


def test_the_document_that_came_in_is_left_alone() -> None:
    document = network_policy()
    del document["metadata"]["namespace"]
    before = json.dumps(document)
    from_document(document)
    assert json.dumps(document) == before


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("text", ": expected an object with apiVersion and kind, found text"),
        ({}, "kind: is missing"),
        ({"kind": "Pod"}, "apiVersion: is missing"),
        ({"kind": 7, "apiVersion": "v1"}, "kind: expected text"),
        ({"kind": "Banana", "apiVersion": "v1"}, "kind: 'Banana' is not read; known are Namespace, Node, Pod"),
        (
            {"kind": "HTTPRoute", "apiVersion": "gateway.networking.k8s.io/v1"},
            "kind: HTTPRoute is not supported yet with",
        ),
        ({"kind": "TrafficPolicy", "apiVersion": "v1"}, "kind: TrafficPolicy is not supported yet"),
        (
            {"kind": "NetworkPolicy", "apiVersion": "v1"},
            "apiVersion: 'v1': NetworkPolicy is read as networking.k8s.io/v1",
        ),
        ({"kind": "Namespace", "apiVersion": "v1"}, "metadata: is missing"),
        ({**namespace(), "metadata": []}, "metadata: expected a mapping"),
        ({**namespace(), "sepc": {}}, "sepc: unknown field; did you mean 'spec'?"),
        ({**namespace(), "x": float("nan")}, ": a number that is not finite"),
        ({**namespace(), "x": 1 << 70}, ": a number beyond 64 bits"),
        ({**namespace(), "x": "\ud800"}, ": text that is not valid Unicode"),
        ({**namespace(), "x": {1: 2}}, ": keys of mappings must be text"),
        ({**namespace(), "x": {1, 2}}, ": a value of type set"),
    ],
)
def test_bad_documents_are_refused(document: object, problem: str) -> None:
    found = refusals(document)
    assert any(text.startswith(problem) for text in found), found


def test_depth_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(MAX_DEPTH + 10):
        deep = [deep]
    assert refusals({**namespace(), "spec": deep}) == [f": nested deeper than {MAX_DEPTH} levels"]


def test_a_problem_names_the_object_as_far_as_it_can_be_read() -> None:
    for document, label in (
        (network_policy("shop/x", ingres=[]), "NetworkPolicy shop/x"),
        ({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}, "Pod default/a"),
        ({"kind": "Pod", "apiVersion": "v1"}, "Pod without a name"),
        ({"metadata": {"name": "a"}}, "object a"),
    ):
        with pytest.raises(ObjectsRefused) as caught:
            from_document(document, "f.yaml")
        assert {(problem.file, problem.object) for problem in caught.value.problems} == {("f.yaml", label)}


WORDS = """
    apiVersion kind metadata name namespace labels spec podSelector matchLabels matchExpressions key operator values
    ingress egress from to ports port endPort protocol ipBlock cidr except policyTypes containers status podIPs ip
    http methods paths exact regex hosts headers action entities serviceAccounts clusterIP addressType endpoints
    addresses selector template v1 Pod Service Ingress In TCP GET /a 10.0.0.0/8 default
"""
words = st.sampled_from(WORDS.split())
leaves = st.one_of(words, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=4)),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.dictionaries(words, values, max_size=5), st.data())
def test_whatever_comes_in_only_a_refusal_comes_out(kind: str, fields: dict[str, Any], data: st.DataObject) -> None:
    """Random fields of a known kind, and a valid document with one part replaced by something else."""
    broken = json.loads(json.dumps(data.draw(st.sampled_from(VALID))))
    place, steps = broken, data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    for step in steps:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = keys[step % len(keys)]
        if not isinstance(place[key], dict | list) or step == steps[-1]:
            place[key] = data.draw(values)
            break
        place = place[key]
    head = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": {"name": "default"}}
    for document in (broken, {**fields, **head}, fields):
        try:
            found = from_document(document)
        except ObjectsRefused as refused:
            assert refused.problems
        else:
            assert from_document(json.loads(json.dumps(found.document))) == found
