"""The door: what is filled in, what is kept, what is refused."""

from __future__ import annotations

import json

import pytest

from controller.admission import admit, removal
from controller.intent import DIRECTORY, KUBELET, Intent
from tests.unit.controller.manifests import SHOP, admitted, intent_of, namespace, objects, pod, rules, service


def verbs(intent: Intent, *texts: str, source: str = "user") -> list[str]:
    return [change.verb for change in admit(intent, objects(*texts), rules(), source=source).changes]


def refusals(intent: Intent, *texts: str, source: str = "user") -> list[str]:
    return [str(problem) for problem in admit(intent, objects(*texts), rules(), source=source).problems]


def test_a_new_object_gets_what_kubernetes_would_give_it() -> None:
    intent = intent_of(namespace("shop"), pod("web"))
    document = intent.entries["Pod", "default", "web"].document()
    assert document["metadata"]["uid"].startswith("uid-")
    assert document["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert document["metadata"]["resourceVersion"] == "1"
    assert document["spec"]["serviceAccountName"] == "default"
    labels = intent.entries["Namespace", "", "shop"].document()["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": "shop"}


def test_applying_the_same_again_changes_nothing() -> None:
    intent = intent_of(SHOP)
    outcome = admit(intent, objects(SHOP), rules())
    assert {change.verb for change in outcome.changes} == {"unchanged"}
    assert outcome.put == []


def test_a_change_keeps_uid_and_creation_time() -> None:
    intent = intent_of(pod("web"))
    before = intent.entries["Pod", "default", "web"].object
    after = admitted(intent, [pod("web", labels={"v": "2"})]).entries["Pod", "default", "web"].object
    assert after.metadata.uid == before.metadata.uid
    assert dict(after.metadata.labels) == {"v": "2"}


def test_a_user_does_not_overwrite_what_the_kubelet_wrote() -> None:
    intent = intent_of(pod("web"))
    status = {"phase": "Running", "podIPs": [{"ip": "10.0.0.9"}]}
    intent = admitted(intent, [pod("web", spec={"nodeName": "n1"}, status=status)], source=KUBELET)
    intent = admitted(intent, [pod("web", labels={"v": "2"}, status={"phase": "Pending"})])
    document = intent.entries["Pod", "default", "web"].document()
    assert document["status"] == status
    assert document["spec"]["nodeName"] == "n1"
    assert document["metadata"]["labels"] == {"v": "2"}


def test_a_kubelet_writes_status_and_node_but_not_the_users_spec() -> None:
    intent = intent_of(pod("web", labels={"app": "web"}))
    theirs = pod("web", labels={"app": "evil"}, spec={"nodeName": "n1"}, status={"phase": "Running"})
    document = admitted(intent, [theirs], source=KUBELET).entries["Pod", "default", "web"].document()
    assert document["metadata"]["labels"] == {"app": "web"}
    assert (document["spec"]["nodeName"], document["status"]) == ("n1", {"phase": "Running"})


def test_a_pods_address_may_be_given_in_its_manifest() -> None:
    intent = intent_of(pod("web", status={"podIPs": [{"ip": "10.0.0.9"}]}))
    moved = admitted(intent, [pod("web", status={"podIPs": [{"ip": "10.0.0.10"}]})])
    assert moved.entries["Pod", "default", "web"].document()["status"] == {"podIPs": [{"ip": "10.0.0.10"}]}


def test_a_kubelets_word_on_a_pod_that_is_gone_does_not_bring_it_back() -> None:
    stale = pod("web", uid="an-older-one", status={"phase": "Running"})
    assert verbs(Intent(), stale, source=KUBELET) == ["gone"]
    assert verbs(intent_of(pod("web")), stale, source=KUBELET) == ["gone"]


def test_a_pod_does_not_move() -> None:
    intent = intent_of(pod("web", spec={"nodeName": "n1"}))
    assert "the pod runs on n1; delete it to move it" in refusals(intent, pod("web", spec={"nodeName": "n2"}))[0]


def test_services_get_addresses_of_both_families_and_keep_them() -> None:
    intent = intent_of(service("a"), service("b"))
    first = intent.entries["Service", "default", "a"].document()["spec"]
    assert first["ipFamilies"] == ["IPv4", "IPv6"]
    assert first["clusterIPs"] != intent.entries["Service", "default", "b"].document()["spec"]["clusterIPs"]
    again = admitted(intent, [service("a", ports=[{"port": 81}])]).entries["Service", "default", "a"].document()["spec"]
    assert again["clusterIPs"] == first["clusterIPs"]
    assert again["ports"] == [{"port": 81}]


def test_a_service_keeps_to_the_families_that_it_asks_for() -> None:
    asked = {
        "one": {"ipFamilies": ["IPv6"]},
        "single": {"ipFamilyPolicy": "SingleStack"},
        "none": {"clusterIP": "None"},
    }
    intent = intent_of(*(service(name, **spec) for name, spec in asked.items()))
    specs = {name: intent.entries["Service", "default", name].document()["spec"] for name in asked}
    assert {name: spec.get("ipFamilies") for name, spec in specs.items()} == {
        "one": ["IPv6"],
        "single": ["IPv4"],
        "none": None,
    }


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (
            [service("a", clusterIP="10.96.0.7"), service("b", clusterIP="10.96.0.7")],
            "10.96.0.7 is the address of Service default/a already",
        ),
        ([service("a", clusterIP="127.0.0.1")], "127.0.0.1 cannot be the address of a Service"),
        ([pod("web"), pod("web")], "the same Pod is given twice"),
        ([pod("web", spec={"serviceAccountName": "ghost"})], "there is no ServiceAccount default/ghost"),
    ],
)
def test_what_cannot_be_is_refused_whole(texts: list[str], reason: str) -> None:
    outcome = admit(Intent(), objects(*texts), rules())
    assert reason in str(outcome.problems[0])


def test_a_free_address_is_never_one_that_is_asked_for_in_the_same_apply() -> None:
    alone = intent_of(service("a")).entries["Service", "default", "a"].document()["spec"]["clusterIP"]
    both = intent_of(service("a"), service("b", clusterIP=alone))
    assert both.entries["Service", "default", "a"].document()["spec"]["clusterIP"] != alone


def test_a_service_does_not_change_its_address() -> None:
    intent = intent_of(service("a", clusterIP="10.96.0.7"))
    for other in ("10.96.0.8", "None"):
        assert "a Service keeps its address (10.96.0.7)" in refusals(intent, service("a", clusterIP=other))[0]


def test_a_user_does_not_change_what_the_directory_manages() -> None:
    intent = admitted(Intent(), [pod("web")], source=DIRECTORY)
    assert "change its file" in refusals(intent, pod("web", labels={"a": "b"}))[0]
    assert verbs(intent, pod("web", status={"phase": "Running"}), source=KUBELET) == ["configured"]


def test_an_address_that_another_pod_has_is_refused_to_the_one_that_comes_later() -> None:
    intent = intent_of(pod("first", status={"podIPs": [{"ip": "10.0.0.9"}]}))
    reasons = refusals(intent, pod("second", status={"podIPs": [{"ip": "10.0.0.9"}]}))
    assert len(reasons) == 1
    assert "Pod default/second" in reasons[0]


def test_a_fault_that_was_there_before_does_not_stop_others() -> None:
    account = json.dumps({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}})
    intent = intent_of(account, pod("web", spec={"serviceAccountName": "a"}))
    outcome = removal(intent, [("ServiceAccount", "default", "a")])
    assert ["there is no ServiceAccount default/a" in str(warning) for warning in outcome.warnings] == [True]
    left = intent.changed(intent.revision, (), outcome.remove)
    assert refusals(left, pod("other")) == []


def test_a_namespace_takes_along_what_is_in_it() -> None:
    intent = intent_of(SHOP)
    gone = {change.id[0] for change in removal(intent, [("Namespace", "", "shop")]).changes}
    assert gone == {"Namespace", "Pod", "Service", "EndpointSlice"}
