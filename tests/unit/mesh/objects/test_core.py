"""Namespace, Node, Pod, ServiceAccount."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from mesh.objects.core import Namespace, Node, Pod, ServiceAccount
from mesh.objects.kinds import from_document
from tests.support.manifests import namespace, node, pod, refusals


def test_a_namespace_always_carries_its_name_as_a_label() -> None:
    found = from_document(namespace("shop", team="a"))
    assert isinstance(found, Namespace)
    assert found.metadata.labels == (("kubernetes.io/metadata.name", "shop"), ("team", "a"))
    assert found.document["metadata"]["labels"]["kubernetes.io/metadata.name"] == "shop"


def test_a_namespace_cannot_carry_another_name() -> None:
    document = namespace("shop")
    document["metadata"]["labels"]["kubernetes.io/metadata.name"] = "bank"
    assert refusals(document) == ["metadata.labels[kubernetes.io/metadata.name]: must be 'shop'"]


def test_a_node_has_ranges_and_internal_addresses() -> None:
    found = from_document(node("one", ip="172.18.0.2", cidr="10.244.0.0/24"))
    assert isinstance(found, Node)
    assert found.pod_cidrs == (ip_network("10.244.0.0/24"),)
    assert found.addresses == (ip_address("172.18.0.2"),)


def test_one_range_may_stand_alone() -> None:
    document = node()
    document["spec"] = {"podCIDR": "10.1.0.0/16"}
    found = from_document(document)
    assert isinstance(found, Node)
    assert found.pod_cidrs == (ip_network("10.1.0.0/16"),)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"podCIDRs": ["10.0.0.1/8"]}, "spec.podCIDRs[0]: '10.0.0.1/8' has bits set behind the prefix"),
        ({"podCIDR": "10.1.0.0/16", "podCIDRs": ["10.2.0.0/16"]}, "spec.podCIDR: must be the first of podCIDRs"),
        ({"podCidrs": []}, "spec.podCidrs: unknown field"),
    ],
)
def test_bad_nodes_are_refused(spec: dict[str, Any], problem: str) -> None:
    document = node()
    document["spec"] = spec
    (found,) = refusals(document)
    assert found.startswith(problem)


def test_a_pod_has_its_status() -> None:
    document = pod("shop/a", "10.0.0.1", "fd00::1")
    document["status"] |= {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}], "qosClass": "x"}
    found = from_document(document)
    assert isinstance(found, Pod)
    assert found.ips == (ip_address("10.0.0.1"), ip_address("fd00::1"))
    assert (found.phase, found.ready, found.finished) == ("Running", True, False)


def test_a_pod_that_ran_to_its_end_is_finished() -> None:
    document = pod("shop/a", "10.0.0.1")
    document["status"]["phase"] = "Succeeded"
    found = from_document(document)
    assert isinstance(found, Pod)
    assert found.finished


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ({"podIP": "127.0.0.1"}, "status.podIP: '127.0.0.1' cannot be reached from elsewhere"),
        ({"podIP": "fe80::1"}, "status.podIP: 'fe80::1' cannot be reached from elsewhere"),
        ({"podIP": "nonsense"}, "status.podIP: 'nonsense' is not an IPv4 or IPv6 address"),
        ({"podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.1"}]}, "status.podIP: must be the first of podIPs"),
        ({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}, "status.podIPs: at most one address of each family"),
        ({"phase": "Sleeping"}, "status.phase: 'Sleeping' is none of Pending"),
        ({"conditions": {}}, "status.conditions: expected a list"),
    ],
)
def test_a_bad_status_is_refused(status: dict[str, Any], problem: str) -> None:
    document = pod()
    document["status"] = status
    (found,) = refusals(document)
    assert found.startswith(problem)


def test_a_service_account_is_a_name() -> None:
    document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "checkout", "namespace": "shop"}}
    found = from_document(document)
    assert isinstance(found, ServiceAccount)
    assert found.key == "shop/checkout"
