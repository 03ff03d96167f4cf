"""Kinds that weft does not read: passed by with a warning, or refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.objects.documents import read
from mesh.objects.errors import ObjectsRefused, Problem
from mesh.objects.kinds import KINDS
from mesh.objects.otherkinds import PASSED_BY, PassedBy, passes_by, refusal, warnings


def document(kind: str, version: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, **fields}


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("ConfigMap", "v1"), ("Secret", "v1"), ("PersistentVolumeClaim", "v1"), ("Event", "events.k8s.io/v1"),
        ("Ingress", "networking.k8s.io/v1"), ("IngressClass", "networking.k8s.io/v1"),
        ("StorageClass", "storage.k8s.io/v1"), ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1"),
        ("HorizontalPodAutoscaler", "autoscaling/v2"), ("PodDisruptionBudget", "policy/v1"),
        ("ResourceQuota", "v1"), ("LimitRange", "v1"), ("PriorityClass", "scheduling.k8s.io/v1"),
        ("CustomResourceDefinition", "apiextensions.k8s.io/v1"), ("Lease", "coordination.k8s.io/v1"),
        ("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1"),
        ("Gateway", "gateway.networking.k8s.io/v1beta1"), ("ReferenceGrant", "gateway.networking.k8s.io/v1beta1"),
    ],
)  # fmt: skip
def test_kinds_that_a_mesh_has_no_use_for_are_passed_by(kind: str, version: str) -> None:
    assert passes_by(document(kind, version)) == kind


@pytest.mark.parametrize(
    "given",
    [
        document("Pod", "v1"), document("StatefulSet", "apps/v1"), document("Secret", "v2x"),
        document("Ingress", "v1"), document("Secret", "example.com/v1"), document("ConfigMap", "/v1/v1"),
        {"kind": "Secret"}, {"kind": ["Secret"], "apiVersion": "v1"}, [], None,
    ],
)  # fmt: skip
def test_all_others_are_not(given: object) -> None:
    assert passes_by(given) is None


@pytest.mark.parametrize(
    ("parents", "passed"),
    [
        ([{"name": "front"}], True),
        ([{"name": "front", "kind": "Gateway", "group": "gateway.networking.k8s.io"}], True),
        ([{"name": "front"}, {"name": "pay", "kind": "Service", "group": ""}], False),
        ([{"name": "pay", "group": "example.com"}], False),
        (None, False),
        ("front", False),
        (["front"], False),
    ],
)
def test_a_route_is_passed_by_only_where_gateways_alone_stand_above_it(parents: object, passed: bool) -> None:
    route = document("HTTPRoute", "gateway.networking.k8s.io/v1", spec={"parentRefs": parents})
    assert (passes_by(route) is not None) is passed


def test_what_is_read_is_not_passed_by() -> None:
    assert not set(KINDS) & set(PASSED_BY)


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        ("StatefulSet", "apps/v1", "kind: StatefulSet runs pods and is not supported yet; a Deployment or Pods are"),
        ("TrafficPolicy", "weft.dev/v1alpha1", "kind: TrafficPolicy is not supported yet"),
        ("HTTPRoute", "gateway.networking.k8s.io/v1",
         "kind: HTTPRoute is not supported yet with a Service as its parent"),
        ("CiliumNetworkPolicy", "cilium.io/v2",
         "kind: CiliumNetworkPolicy is not a kind of weft; write a MeshPolicy or a NetworkPolicy"),
        ("Ingress", "v1", "apiVersion: 'v1': Ingress is known as networking.k8s.io/..."),
        ("Secret", "v1/v1", "apiVersion: 'v1/v1': Secret is known as v1"),
        ("ConfigMp", "v1", "kind: 'ConfigMp' is not read; did you mean 'ConfigMap'?"),
        ("Networkpolicy", "networking.k8s.io/v1", "kind: 'Networkpolicy' is not read; did you mean 'NetworkPolicy'?"),
        ("Banana", "v1", "kind: 'Banana' is not read; known are Pod"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(kind: str, version: str, expected: str) -> None:
    assert ": ".join(refusal(kind, version, ["Pod", "NetworkPolicy"])).startswith(expected)


def test_one_warning_for_each_kind_at_the_place_that_holds_all_of_it() -> None:
    found = [PassedBy("shop/a.yaml", "Secret"), PassedBy("shop/b/c.yaml", "Secret"), PassedBy("shop/a.yaml", "Role")]
    assert list(warnings(found)) == [
        Problem("shop/a.yaml", "Role", "", "passed by, weft has no use for it (1 object)"),
        Problem("shop", "Secret", "", "passed by, weft has no use for it (2 objects)"),
    ]
    assert next(warnings([PassedBy("/a", "Role"), PassedBy("b", "Role")])).file == ""


def test_a_text_gives_its_objects_and_what_was_passed_by() -> None:
    text = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: s}, data: {key: c2VjcmV0}}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: ConfigMapList, items: [{metadata: {name: c}}, {data: {a: 1}}]}
"""
    found = read(text, "f.yaml")
    assert [str(item) for item in found.objects] == ["Namespace shop"]
    assert [item.kind for item in found.passed_by] == ["Secret", "ConfigMap", "ConfigMap"]
    assert "c2VjcmV0" not in repr(found.passed_by)


@pytest.mark.parametrize("secret", ["7" * 60, "!hunter2hunter2 x", "!!binary hunter2", "{<<: hunter2}", "[*hunter"])
def test_no_refusal_of_a_text_shows_a_value_of_it(secret: str) -> None:
    """Before the whole is read nobody knows that it is a Secret. Tags and names of anchors are no values."""
    with pytest.raises(ObjectsRefused) as caught:
        read(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData:\n  pin: {secret}\n", "f.yaml")
    said = str(caught.value).split("tag ")[0]
    assert "777" not in said
    assert "hunter2" not in said
