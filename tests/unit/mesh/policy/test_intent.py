"""What policy reads of the objects."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mesh.objects.core import Pod
from mesh.policy.intent import Intent
from tests.support.manifests import mesh_policy, namespace, network_policy, objects, pod


def test_finished_pods_are_left_out() -> None:
    ended = pod("shop/a", "10.0.0.1")
    ended["status"]["phase"] = "Succeeded"
    assert [one.key for one in Intent(objects(ended, pod("shop/b"))).pods] == ["shop/b"]


def test_a_namespace_that_nobody_wrote_has_its_name_as_a_label() -> None:
    assert Intent(objects(pod("default/a"))).namespaces == {"default": {"kubernetes.io/metadata.name": "default"}}


def test_blocks_in_use_are_cidrs_and_exceptions() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    intent = Intent(objects(network_policy(ingress=[{"from": [{"ipBlock": block}]}, {}])))
    assert intent.blocks == {ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16")}


def test_selected_keys_are_those_of_subjects_and_peers() -> None:
    peer = {"podSelector": {"matchLabels": {"b": "1"}}, "namespaceSelector": {"matchLabels": {"c": "1"}}}
    intent = Intent(objects(mesh_policy(podSelector={"matchLabels": {"a": "1"}}, ingress=[{"from": [peer]}])))
    assert intent.selected_keys == {"a", "b"}


def test_policies_select_within_their_namespace() -> None:
    intent = Intent(objects(network_policy("shop/p"), network_policy("bank/p"), mesh_policy("shop/p")))
    assert [str(policy) for policy in intent.selecting("shop", {})] == ["MeshPolicy shop/p", "NetworkPolicy shop/p"]


@pytest.mark.parametrize(
    ("on_namespace", "on_pod", "enrol_all", "enrolled"),
    [
        (None, None, True, True),
        (None, None, False, False),
        ("enabled", None, False, True),
        ("disabled", None, True, False),
        ("enabled", "disabled", False, False),
        ("disabled", "enabled", True, True),
        ("maybe", None, False, False),
    ],
)
def test_enrolment(on_namespace: str | None, on_pod: str | None, enrol_all: bool, enrolled: bool) -> None:
    space, one = namespace(), pod()
    for document, word in ((space, on_namespace), (one, on_pod)):
        if word:
            document["metadata"]["labels"]["weft.dev/mesh"] = word
    intent = Intent(objects(space, one))
    (found,) = intent.pods
    assert isinstance(found, Pod)
    assert intent.enrolled(found, dict(found.metadata.labels), enrol_all=enrol_all) is enrolled


def test_the_api_servers_addresses_come_from_its_slice() -> None:
    api = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": ["172.18.0.9"]}],
    }  # fmt: skip
    assert Intent(objects(api)).api_server == {ip_address("172.18.0.9")}
