"""What a node gets: its own pods, everybody's addresses; and deltas that lead from one revision to the next."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.intent import Intent
from controller.snapshot import node_snapshot
from mesh.model import ReservedIdentity
from mesh.snapshot import NodeSnapshot, apply, dangling, diff
from tests.unit.controller.manifests import POLICY, SHOP, admitted, intent_of, pod, service
from tests.unit.controller.views import SameNumbers, compiled, view_of


def test_a_node_has_its_own_pods_and_everybodys_addresses() -> None:
    view, _ = compiled(SHOP, POLICY)
    first, second = node_snapshot(view, "node-1"), node_snapshot(view, "node-2")
    assert (list(first.endpoints), list(second.endpoints)) == (["shop/pay"], ["shop/client"])
    for snapshot in (first, second):
        entry = snapshot.ipcache[ip_network("10.244.1.5/32")]
        assert (entry.node, entry.pod) == ("node-1", "shop/pay")
        assert snapshot.ipcache[ip_network("10.244.0.0/16").supernet(new_prefix=0)].identity == ReservedIdentity.WORLD
        assert snapshot.ipcache[ip_network("10.244.1.0/24")].identity == ReservedIdentity.UNKNOWN
        assert dangling(snapshot) == ()


def test_a_nodes_own_addresses_are_its_host_for_itself_alone() -> None:
    view, _ = compiled(SHOP)
    own = ip_network("192.168.9.1/32")
    assert node_snapshot(view, "node-1").ipcache[own].identity == ReservedIdentity.HOST
    assert node_snapshot(view, "node-2").ipcache[own].identity == ReservedIdentity.REMOTE_NODE


def test_a_node_gets_the_policies_of_its_pods_alone() -> None:
    view, _ = compiled(SHOP, POLICY)
    first = node_snapshot(view, "node-1")
    assert first.policies[first.endpoints["shop/pay"].policy].ingress.default_deny
    second = node_snapshot(view, "node-2")
    assert not any(policy.ingress.default_deny for policy in second.policies.values())


def test_services_lead_to_ready_backends() -> None:
    view, _ = compiled(SHOP)
    frontend = node_snapshot(view, "node-2").frontends["10.96.0.80|TCP|80"]
    assert [(str(backend.address), backend.port, backend.pod) for backend in frontend.backends] == [
        ("10.244.1.5", 8080, "shop/pay")
    ]


@pytest.mark.parametrize(
    "text",
    [
        pod("x", spec={"nodeName": "node-1"}),
        pod("x", status={"podIP": "10.244.1.9"}),
        pod("x", spec={"nodeName": "node-1", "hostNetwork": True}, status={"podIP": "192.168.9.1"}),
        pod("x", spec={"nodeName": "node-1"}, status={"podIP": "10.244.1.9", "phase": "Succeeded"}),
    ],
)
def test_pods_without_address_or_node_on_the_hosts_network_or_finished_are_no_endpoints(text: str) -> None:
    view, _ = compiled(SHOP, text)
    assert list(node_snapshot(view, "node-1").endpoints) == ["shop/pay"]


def test_a_node_that_nobody_knows_still_gets_the_clusters_addresses() -> None:
    view, _ = compiled(SHOP)
    snapshot = node_snapshot(view, "stranger")
    assert snapshot.endpoints == {}
    assert ip_network("10.244.1.5/32") in snapshot.ipcache


def test_settings_come_from_the_mesh_config() -> None:
    config = "apiVersion: weft.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {denyFeedback: Drop}"
    view, _ = compiled(SHOP, config)
    assert node_snapshot(view, "node-1").settings.deny_feedback == "Drop"


def test_tables_that_did_not_change_are_lent() -> None:
    numbers = SameNumbers()
    first = intent_of(SHOP)
    before = view_of(first, numbers=numbers)
    after = view_of(admitted(first, [POLICY]), numbers=numbers, before=before)
    assert after.frontends is before.frontends
    assert after.ipcache is before.ipcache


CHANGES = (
    POLICY,
    pod("a", spec={"nodeName": "node-1"}, status={"podIP": "10.244.1.31"}),
    pod("a", labels={"v": "2"}, spec={"nodeName": "node-1"}, status={"podIP": "10.244.1.32"}),
    pod("b", spec={"nodeName": "node-2"}, status={"podIP": "10.244.2.31"}),
    service("s"),
    POLICY.replace("GET", "POST"),
    POLICY.replace("from: [{podSelector: {matchLabels: {app: client}}}]", "from: [{ipBlock: {cidr: 10.0.0.0/8}}]"),
    SHOP,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_deltas_lead_from_one_revision_to_the_next_whatever_changes(changes: list[str], taken: list[bool]) -> None:
    numbers = SameNumbers()
    intent: Intent = intent_of(SHOP)
    view = view_of(intent, numbers=numbers)
    held = {name: node_snapshot(view, name) for name in ("node-1", "node-2")}
    for change, takes in zip(changes, taken, strict=False):
        intent = admitted(intent, [change])
        view = view_of(intent, numbers=numbers, before=view)
        if not takes:
            continue
        for name, snapshot in held.items():
            held[name] = apply(snapshot, diff(snapshot, node_snapshot(view, name)))
    fresh = view_of(intent, numbers=numbers)
    for name, snapshot in held.items():
        newest: NodeSnapshot = node_snapshot(fresh, name)
        assert apply(snapshot, diff(snapshot, newest)) == newest
        assert dangling(replace(newest)) == ()
