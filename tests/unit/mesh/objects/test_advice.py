"""What is taken, but not as its author may think."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.objects.advice import advice
from tests.support.manifests import Document, mesh_policy, network_policy, objects, pod

OVER_THE_NODE = "whoever is in it may change what this node enforces; treat it as part of the node"


def said(document: Document) -> list[str]:
    (item,) = objects(document)
    return [f"{problem.field}: {problem.reason}" for problem in advice(item)]


def deployment(**spec: Any) -> Document:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}], **spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


@pytest.mark.parametrize("policy", [network_policy, mesh_policy])
def test_a_block_with_bits_behind_its_prefix_means_the_prefix(policy: Any) -> None:
    block = {"cidr": "10.0.0.5/8", "except": ["10.1.0.0/16", "10.2.0.1/16"]}
    assert said(policy(ingress=[{}, {"from": [{"podSelector": {}}, {"ipBlock": block}]}])) == [
        "spec.ingress[1].from[1].ipBlock.cidr: 10.0.0.5/8 has bits set behind the prefix; it means 10.0.0.0/8",
        "spec.ingress[1].from[1].ipBlock.except[1]: 10.2.0.1/16 has bits set behind the prefix; it means 10.2.0.0/16",
    ]
    assert said(policy(egress=[{"to": [{"ipBlock": {"cidr": "fd00::/8"}}]}])) == []


def test_who_shares_the_node_is_no_subject_of_policy() -> None:
    reason = "the pod has the node's identity and is no subject of policy"
    assert said(pod(hostNetwork=True)) == [f"spec.hostNetwork: {reason}"]
    assert said(deployment(hostNetwork=True)) == [f"spec.template.spec.hostNetwork: {reason}"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"hostPID": True}, "hostPID"),
        ({"containers": [{"name": "c", "securityContext": {"privileged": True}}]}, "containers[0]{}.privileged"),
        (
            {"initContainers": [{"name": "i", "securityContext": {"capabilities": {"add": ["CAP_BPF"]}}}]},
            "initContainers[0]{}.capabilities.add: BPF",
        ),
    ],
)
def test_who_may_change_the_node_cannot_be_held_by_policy(spec: Document, field: str) -> None:
    assert said(pod(**spec)) == [f"spec.{field.format('.securityContext')}: {OVER_THE_NODE}"]


def test_an_ordinary_pod_is_taken_in_silence() -> None:
    context = {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "NET_ADMIN"]}, "privileged": False}
    container = {"name": "c", "securityContext": context}
    assert said(pod(containers=[container], securityContext={"runAsUser": 1})) == []
    assert said(pod(containers=[{"name": "c", "securityContext": "nonsense"}])) == []


def test_a_service_that_asks_for_backends_of_its_own_node_gets_all() -> None:
    spec: Document = {"ports": [{"port": 80}], "selector": {"app": "web"}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop"}, "spec": spec}
    assert said(service) == []
    spec["internalTrafficPolicy"] = "Local"
    assert said(service) == ["spec.internalTrafficPolicy: Local is not supported yet: backends of every node are used"]
    del spec["internalTrafficPolicy"]
    spec["type"] = "NodePort"
    assert said(service) == ["spec.type: NodePort is taken as ClusterIP: reachable inside the cluster only"]


def namespace(**metadata: Any) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", **metadata}}


def test_words_of_ours_that_change_nothing_are_said() -> None:
    ours = {"weft.dev/mesh": "disabled", "team": "a", "other.weft.dev/x": "y"}
    assert said(namespace(labels=ours)) == []
    assert said(pod() | {"metadata": {"name": "p", "namespace": "shop", "annotations": ours}}) == []
    assert said(namespace(labels={"weft.dev/mesh": "enabeld"}, annotations={"weft.dev/mtls": "Strict"})) == [
        "metadata.labels[weft.dev/mesh]: 'enabeld' is neither enabled nor disabled, and changes nothing",
        "metadata.annotations[weft.dev/mtls]: is not supported yet and changes nothing",
    ]
    assert said(namespace(annotations={"weft.dev/mesh": "disabled"})) == [
        "metadata.annotations[weft.dev/mesh]: changes nothing: of a Namespace its label is read"
    ]
    found = deployment()
    found["spec"]["template"]["metadata"]["annotations"] = {"weft.dev/shortcut": "Off"}
    assert said(found) == [
        "spec.template.metadata.annotations[weft.dev/shortcut]: is not supported yet and changes nothing"
    ]
