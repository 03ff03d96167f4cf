"""Scheduler, kubelet's status and the cluster's controllers, as one pure step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.addressing import NodeAddresses, plan_node
from lab.plan import Facts, Objects, Placement, Plan, plan
from lab.podspec import Document, key_of
from tests.unit.lab.documents import deployment, placed, pod, service

N1 = plan_node((), (), ())
N2 = plan_node((), (), (N1,))
NODES: Mapping[str, NodeAddresses] = {"n1": N1, "n2": N2}


def objects(*documents: Document) -> dict[str, dict[str, Document]]:
    held: dict[str, dict[str, Document]] = {}
    for document in documents:
        held.setdefault(document["kind"], {})[key_of(document)] = document
    return held


def written(outcome: Plan, kind: str = "Pod") -> dict[str, dict[str, Any]]:
    return {key_of(document): document for document in outcome.write if document["kind"] == kind}


def settle(held: dict[str, dict[str, Document]], facts: Mapping[str, Facts] | None = None) -> tuple[Objects, Plan]:
    """Apply what is planned, as the controller would, until nothing is left to do."""
    running: dict[str, Placement] = {}
    for _ in range(6):
        outcome = plan(held, facts or {}, NODES, running)
        if not outcome.write and not outcome.delete:
            return held, outcome
        for document in outcome.write:
            held.setdefault(document["kind"], {})[key_of(document)] = document
        for kind, namespace, name in outcome.delete:
            del held[kind][f"{namespace}/{name}"]
        running = {key: Placement(spec.node, spec.addresses) for key, spec in outcome.run.items()}
    raise AssertionError("the plan never comes to rest")


def test_a_pod_is_placed_and_addressed_first_and_run_when_the_controller_has_it() -> None:
    outcome = plan(objects(pod("a")), {}, NODES, {})
    document = written(outcome)["shop/a"]
    assert document["spec"]["nodeName"] == "n1"
    assert document["status"]["podIPs"] == [{"ip": "10.244.0.2"}, {"ip": "fd00:10:244::2"}]
    assert document["status"]["phase"] == "Pending"
    assert not outcome.run
    assert set(plan(objects(document), {}, NODES, {}).run) == {"shop/a"}


def test_pods_spread_over_nodes_and_never_share_an_address() -> None:
    held, _ = settle(objects(*(pod(name) for name in "abcdef"), placed("g", "10.244.0.3", node="n1")))
    nodes = [document["spec"]["nodeName"] for document in held["Pod"].values()]
    ips = [ip["ip"] for document in held["Pod"].values() for ip in document["status"]["podIPs"]]
    assert abs(nodes.count("n1") - nodes.count("n2")) <= 1
    assert len(ips) == len(set(ips)) == 13


def test_given_node_and_addresses_are_kept_as_they_are() -> None:
    held, outcome = settle(objects(placed("a", "1.2.3.4", node="n2")))
    assert held["Pod"]["shop/a"]["status"]["podIPs"] == [{"ip": "1.2.3.4"}]
    assert outcome.run["shop/a"].node == "n2"


def test_a_pod_applied_again_without_its_status_stays_where_it_runs() -> None:
    where = {"shop/a": Placement("n2", placed_addresses := N2.both)}
    outcome = plan(objects(pod("a")), {"shop/a": Facts(phase="Running", ready=True)}, NODES, where)
    assert set(outcome.run) == {"shop/a"}
    assert written(outcome)["shop/a"]["spec"]["nodeName"] == "n2"
    assert outcome.run["shop/a"].addresses == placed_addresses


def test_a_host_network_pod_has_its_node_s_addresses() -> None:
    held, _ = settle(objects(pod("a", spec={"hostNetwork": True, "nodeName": "n2"})))
    assert [ip["ip"] for ip in held["Pod"]["shop/a"]["status"]["podIPs"]] == [str(N2.v4), str(N2.v6)]


def test_a_pod_waits_for_a_node_that_is_not_there() -> None:
    outcome = plan(objects(pod("a", spec={"nodeName": "far"})), {}, NODES, {})
    assert not outcome.write
    assert not outcome.run


def test_readiness_becomes_status_and_slices() -> None:
    held, _ = settle(objects(deployment(), service()), {})
    first = sorted(held["Pod"])[0]
    held, outcome = settle(
        {kind: dict(items) for kind, items in held.items()}, {first: Facts(phase="Running", ready=True, restarts=2)}
    )
    status = held["Pod"][first]["status"]
    assert status["conditions"] == [{"type": "Ready", "status": "True"}]
    assert status["containerStatuses"][0]["restartCount"] == 2
    endpoints = held["EndpointSlice"]["shop/web-ipv4"]["endpoints"]
    assert [endpoint["conditions"]["ready"] for endpoint in endpoints] == [True, False]
    assert len(outcome.run) == 2


def test_slices_of_a_service_that_is_gone_go_and_foreign_ones_stay() -> None:
    held, _ = settle(objects(deployment(), service()))
    foreign = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
    foreign["metadata"] = {"name": "mine", "namespace": "shop"}  # type: ignore[assignment]
    changed = {kind: dict(items) for kind, items in held.items()}
    changed["Service"] = {}
    changed["EndpointSlice"]["shop/mine"] = foreign
    outcome = plan(changed, {}, NODES, {})
    assert sorted(outcome.delete) == [
        ("EndpointSlice", "shop", "web-ipv4"),
        ("EndpointSlice", "shop", "web-ipv6"),
    ]


def test_nodes_learn_their_ranges_and_addresses_once() -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    held, _ = settle(objects(node))
    document = held["Node"]["n1"]
    assert document["spec"]["podCIDRs"] == ["10.244.0.0/24", "fd00:10:244::/64"]
    assert {a["address"] for a in document["status"]["addresses"]} == {str(N1.v4), str(N1.v6), "n1"}


def test_a_range_that_is_used_up_is_a_problem_of_that_pod_alone() -> None:
    small = {"n1": NodeAddresses(v4=N1.v4, v6=N1.v6, pod_cidrs=(N1.pod_cidrs[0].__class__("10.0.0.0/30"),))}
    outcome = plan(objects(pod("a"), pod("b")), {}, small, {})
    assert set(written(outcome)) == {"shop/a"}
    assert "shop/b" in outcome.problems[0]


def test_a_deployment_says_how_many_of_its_pods_are_ready() -> None:
    held, _ = settle(objects(deployment("web", replicas=2), pod("other")))
    assert held["Deployment"]["shop/web"]["status"] == {"replicas": 2, "readyReplicas": 0, "availableReplicas": 0}
    first = next(key for key in held["Pod"] if key.startswith("shop/web-"))
    held, _ = settle(dict(held), {first: Facts(phase="Running", ready=True)})
    assert held["Deployment"]["shop/web"]["status"]["readyReplicas"] == 1
