"""From objects to each pod's policy."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mesh.objects.kinds import from_document
from mesh.objects.selectors import LabelSelector
from mesh.policy.cluster import build
from mesh.policy.identities import FreshNumbers
from tests.support.manifests import cluster, mesh_policy, namespace, network_policy, node, pod


def test_pods_of_equal_policy_share_one_set() -> None:
    pods = [pod(f"shop/p{number}", f"10.0.0.{number}") for number in range(1, 5)]
    state = cluster(namespace(), *pods, network_policy(ingress=[{"from": [{"podSelector": {}}]}]))
    assert len({id(one.policy) for one in state.pods.values()}) == 1
    assert len(state.policies) == 1


def test_sets_differ_where_named_ports_do() -> None:
    pods = [
        pod(f"shop/p{number}", f"10.0.0.{number}", ports=[{"containerPort": number, "name": "http"}])
        for number in (1, 2)
    ]
    by_name = network_policy(ingress=[{"ports": [{"port": "http"}]}])
    by_number = network_policy(ingress=[{"ports": [{"port": 80}]}])
    assert len(cluster(namespace(), *pods, by_name).policies) == 2
    assert len(cluster(namespace(), *pods, by_number).policies) == 1


def test_a_pod_says_what_its_snapshot_needs() -> None:
    state = cluster(namespace(), node(), pod("shop/a", "10.0.0.1", nodeName="one", serviceAccountName="sa"))
    found = state.pods["shop/a"]
    assert (found.key, found.node, found.service_account, found.enforced) == ("shop/a", "one", "sa", True)


def test_an_unenrolled_pod_keeps_its_identity_and_has_no_policy() -> None:
    left = pod("shop/a", "10.0.0.1")
    left["metadata"]["labels"]["weft.dev/mesh"] = "disabled"
    state = cluster(namespace(), left, pod("shop/b", "10.0.0.2"), network_policy())
    found = state.pods["shop/a"]
    assert not found.enforced
    assert not found.policy.ingress.default_deny
    assert found.addresses[0][1] in state.identities


def test_only_enrolled_pods_are_enforced_where_enrolment_is_asked_for() -> None:
    given = (namespace(), pod("shop/a", "10.0.0.1"))
    objects = [from_document(document) for document in given]
    assert not build(objects, FreshNumbers(), enrol_all=False).pods["shop/a"].enforced
    assert build(objects, FreshNumbers()).pods["shop/a"].enforced


def test_a_pod_without_an_address_waits_with_its_policy() -> None:
    found = cluster(namespace(), pod("shop/a"), mesh_policy()).pods["shop/a"]
    assert found.addresses == ()
    assert found.policy.ingress.default_deny


def test_numbers_stay_when_the_policy_changes() -> None:
    numbers = FreshNumbers()
    before = cluster(namespace(), pod("shop/a", "10.0.0.1"), numbers=numbers)
    after = cluster(namespace(), pod("shop/a", "10.0.0.1"), network_policy(), numbers=numbers)
    assert before.pods["shop/a"].addresses == after.pods["shop/a"].addresses
    assert before.pods["shop/a"].policy.key != after.pods["shop/a"].policy.key


def test_of_thousands_of_pods_only_labels_that_differ_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work grows with distinct labels and policies, not with pods times policies."""
    looks = 0
    matches = LabelSelector.matches

    def counted(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
        nonlocal looks
        looks += 1
        return matches(selector, labels)

    documents = [namespace(f"ns{number}") for number in range(20)]
    for number in range(2000):
        address = f"10.0.{number // 250}.{number % 250}"
        documents.append(pod(f"ns{number % 20}/p{number}", address, labels={"app": f"a{number % 200}"}))
    for number in range(100):
        rule = {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": f"a{number}"}}}]}
        documents.append(network_policy(f"ns{number % 20}/np{number}", ingress=[rule]))
    objects = [from_document(document) for document in documents]
    monkeypatch.setattr(LabelSelector, "matches", counted)
    state = build(objects, FreshNumbers())
    assert 0 < looks <= 200 * 100
    assert len(state.pods) == 2000
    assert len(state.policies) == 20
