"""THE semantics, rule by rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mesh.model import (
    Decision,
    DirectionPolicy,
    FlowQuery,
    HttpRequest,
    IdentityId,
    Layer,
    Protocol,
    ReservedIdentity,
    RuleRef,
    Verdict,
)
from mesh.policy.decide import decide
from tests.support.manifests import Document, cluster, mesh_policy, namespace, network_policy, pod

CLOSED = DirectionPolicy(default_deny=True, selected_by=(RuleRef(policy="a/b", kind="NetworkPolicy"),))
OPEN = DirectionPolicy()
FLOW = FlowQuery(source=IdentityId(256), destination=IdentityId(257), protocol=Protocol.TCP, port=80)
PODS = (namespace(), pod("shop/client", "10.0.0.1"), pod("shop/server", "10.0.0.2"))


def verdict(decision: Decision) -> tuple[Verdict, Layer]:
    return decision.verdict, decision.layer


def ask(*policies: Document, port: int = 80, **request: Any) -> Decision:
    """From shop/client to shop/server under these policies."""
    state = cluster(*PODS, *policies)
    client, server = state.pods["shop/client"], state.pods["shop/server"]
    query = FlowQuery(
        source=client.addresses[0][1],
        destination=server.addresses[0][1],
        protocol=Protocol.TCP,
        port=port,
        request=HttpRequest(**{"method": "GET", "path": "/", "host": "", **request}) if request else None,
    )
    return decide(query, egress=client.policy.egress, ingress=server.policy.ingress)


def on_server(**rule: Any) -> Document:
    return mesh_policy("shop/server", podSelector={"matchLabels": {"app": "server"}}, ingress=[rule])


def test_nothing_selected_means_everything_is_allowed() -> None:
    found = ask()
    assert verdict(found) == (Verdict.ALLOW, Layer.L3L4)
    assert found.decided_by == ()


def test_both_sides_must_allow() -> None:
    assert decide(FLOW, egress=OPEN, ingress=CLOSED).verdict is Verdict.DENY
    assert decide(FLOW, egress=CLOSED, ingress=OPEN).verdict is Verdict.DENY
    assert decide(FLOW, egress=OPEN, ingress=OPEN).verdict is Verdict.ALLOW


def test_a_default_deny_names_the_policies_behind_it() -> None:
    found = ask(network_policy("shop/a"), network_policy("shop/b"))
    assert [ref.policy for ref in found.decided_by] == ["shop/a", "shop/b"]
    assert found.ingress is not None
    assert found.ingress.default
    assert found.message == (
        "Denied at the destination: no rule allows its ingress, "
        "which is default deny because of NetworkPolicy shop/a and NetworkPolicy shop/b."
    )


def test_an_allow_names_the_rules_of_both_directions() -> None:
    egress = network_policy("shop/out", policyTypes=["Egress"], egress=[{}])
    found = ask(egress, network_policy("shop/in", ingress=[{}]))
    assert [(ref.policy, ref.rule) for ref in found.decided_by] == [
        ("shop/out", "egress[0]"),
        ("shop/in", "ingress[0]"),
    ]


def test_deny_beats_allow_of_the_same_port() -> None:
    found = ask(on_server(action="Deny", ports=[{"port": 80}], name="no"), network_policy(ingress=[{}]))
    assert verdict(found) == (Verdict.DENY, Layer.L3L4)
    assert [(ref.kind, ref.rule, ref.name) for ref in found.decided_by] == [("MeshPolicy", "ingress[0]", "no")]


def test_deny_rules_alone_leave_the_rest_open() -> None:
    policy = on_server(action="Deny", ports=[{"port": 22}])
    assert ask(policy, port=22).verdict is Verdict.DENY
    assert ask(policy, port=80).verdict is Verdict.ALLOW


def test_requests_are_decided_at_l7() -> None:
    policy = on_server(http=[{"methods": ["GET"]}])
    assert verdict(ask(policy, method="GET")) == (Verdict.ALLOW, Layer.L7)
    assert verdict(ask(policy, method="POST")) == (Verdict.DENY, Layer.L7)
    assert ask(policy).needs_l7
    assert ask(policy).verdict is Verdict.ALLOW


def test_l4_denies_before_l7_does() -> None:
    out = mesh_policy(
        "shop/out", podSelector={"matchLabels": {"app": "client"}}, egress=[{"http": [{"methods": ["PUT"]}]}]
    )
    closed = network_policy("shop/in", podSelector={"matchLabels": {"app": "server"}})
    found = ask(out, closed, method="GET")
    assert verdict(found) == (Verdict.DENY, Layer.L3L4)
    assert [ref.policy for ref in found.decided_by] == ["shop/in"]


def test_a_node_and_its_own_pods_may_always_talk() -> None:
    host = IdentityId(ReservedIdentity.HOST)
    assert decide(replace(FLOW, source=host), egress=None, ingress=CLOSED).verdict is Verdict.ALLOW
    assert decide(replace(FLOW, destination=host), egress=CLOSED, ingress=None).verdict is Verdict.ALLOW


@pytest.mark.parametrize("policy", [OPEN, CLOSED])
def test_an_unknown_peer_is_denied_whatever_policy_says(policy: DirectionPolicy) -> None:
    unknown = IdentityId(ReservedIdentity.UNKNOWN)
    assert decide(replace(FLOW, source=unknown), egress=None, ingress=policy).verdict is Verdict.DENY
    assert decide(replace(FLOW, destination=unknown), egress=policy, ingress=None).verdict is Verdict.DENY


def test_a_pod_may_always_talk_to_itself() -> None:
    assert decide(replace(FLOW, same_pod=True), egress=CLOSED, ingress=CLOSED).verdict is Verdict.ALLOW


def test_ends_that_are_not_enforced_say_nothing() -> None:
    found = decide(FLOW, egress=None, ingress=None)
    assert (found.verdict, found.egress, found.ingress) == (Verdict.ALLOW, None, None)


def test_a_rule_without_peers_lets_the_world_in() -> None:
    state = cluster(*PODS, network_policy(ingress=[{}]))
    query = replace(FLOW, source=IdentityId(ReservedIdentity.WORLD))
    assert decide(query, egress=None, ingress=state.pods["shop/server"].policy.ingress).verdict is Verdict.ALLOW
