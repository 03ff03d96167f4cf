"""Rules of objects resolved for a subject."""

from __future__ import annotations

from typing import Any

from mesh.model import (
    EVERY_PORT,
    Action,
    DirectionPolicy,
    Grant,
    PortRange,
    Protocol,
    ResolvedRule,
    RuleRef,
)
from mesh.policy.rules import make_set
from tests.support.manifests import Document, cluster, mesh_policy, namespace, network_policy, pod

HTTP = {"containerPort": 8080, "name": "http"}
CLIENT = pod("shop/client", "10.0.0.1", ports=[{"containerPort": 9000, "name": "http"}])
SERVER = pod("shop/server", "10.0.0.2", ports=[HTTP, {"containerPort": 53, "name": "dns", "protocol": "UDP"}])


def server_ingress(*documents: Document) -> DirectionPolicy:
    return cluster(namespace(), CLIENT, SERVER, *documents).pods["shop/server"].policy.ingress


def ports_of(policy: DirectionPolicy) -> list[PortRange]:
    return [ports for rule in policy.rules for grant in rule.grants for ports in grant.ports]


def ingress(*ports: Document, **rule: Any) -> Document:
    return mesh_policy(ingress=[{"ports": list(ports), **rule}])


def test_missing_ports_mean_every_port_of_every_protocol() -> None:
    assert ports_of(server_ingress(network_policy(ingress=[{}]))) == [EVERY_PORT]


def test_a_rule_about_requests_speaks_of_tcp_only() -> None:
    assert ports_of(server_ingress(mesh_policy(ingress=[{"http": [{}]}]))) == [PortRange(Protocol.TCP)]


def test_numbers_ranges_and_whole_protocols() -> None:
    given = ingress({"port": 80}, {"port": 100, "endPort": 200}, {"protocol": "SCTP"})
    assert ports_of(server_ingress(given)) == [
        PortRange(Protocol.TCP, 80, 80), PortRange(Protocol.TCP, 100, 200), PortRange(Protocol.SCTP),
    ]  # fmt: skip


def test_a_named_port_of_ingress_is_the_subjects_own() -> None:
    assert ports_of(server_ingress(ingress({"port": "http"}))) == [PortRange(Protocol.TCP, 8080, 8080)]


def test_the_protocol_of_a_named_port_must_agree() -> None:
    assert ports_of(server_ingress(ingress({"port": "dns"}))) == []
    assert ports_of(server_ingress(ingress({"port": "dns", "protocol": "UDP"}))) == [PortRange(Protocol.UDP, 53, 53)]


def test_a_rule_that_nothing_is_left_of_is_gone_but_the_policy_still_closes() -> None:
    policy = server_ingress(ingress({"port": "nothing"}))
    assert policy.rules == ()
    assert policy.default_deny
    assert policy.selected_by == (RuleRef(policy="shop/policy", kind="MeshPolicy"),)


def test_a_named_port_of_egress_is_another_number_for_each_peer() -> None:
    policy = network_policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}, {"port": 53}]}])
    state = cluster(namespace(), CLIENT, SERVER, policy)
    ((rule,), ids) = state.pods["shop/client"].policy.egress.rules, state.pods
    assert rule.grants == (
        Grant(None, (PortRange(Protocol.TCP, 53, 53),)),
        Grant(frozenset({ids["shop/server"].addresses[0][1]}), (PortRange(Protocol.TCP, 8080, 8080),)),
        Grant(frozenset({ids["shop/client"].addresses[0][1]}), (PortRange(Protocol.TCP, 9000, 9000),)),
    )


def test_rules_say_where_they_stand() -> None:
    rules = server_ingress(
        mesh_policy(ingress=[{}, {"name": "no-ssh", "action": "Deny", "ports": [{"port": 22}]}])
    ).rules
    assert [rule.ref for rule in rules] == [
        RuleRef(policy="shop/policy", kind="MeshPolicy", rule="ingress[0]"),
        RuleRef(policy="shop/policy", kind="MeshPolicy", rule="ingress[1]", name="no-ssh", action=Action.DENY),
    ]


def test_rules_of_a_direction_that_policy_types_leaves_out_have_no_effect() -> None:
    assert server_ingress(network_policy(policyTypes=["Egress"], ingress=[{}])) == DirectionPolicy()


def test_deny_rules_alone_do_not_close() -> None:
    policy = server_ingress(mesh_policy(ingress=[{"action": "Deny", "ports": [{"port": 22}]}]))
    assert (policy.default_deny, policy.selected_by, len(policy.rules)) == (False, (), 1)


def test_equal_content_has_an_equal_key_whatever_the_order_of_sets() -> None:
    def made(numbers: list[int], action: Action = Action.ALLOW) -> str:
        grant = Grant(frozenset(numbers), (EVERY_PORT,))  # type: ignore[arg-type] # plain numbers do here
        rule = ResolvedRule(ref=RuleRef(policy="a/b", kind="MeshPolicy"), action=action, grants=(grant,))
        return make_set(egress=DirectionPolicy(), ingress=DirectionPolicy(rules=(rule,))).key

    assert made([256, 999_999, 3]) == made([3, 999_999, 256])
    assert made([256]) != made([257])
    assert made([256]) != made([256], Action.DENY)


def test_the_two_directions_are_not_mixed_up_in_the_key() -> None:
    closed = DirectionPolicy(default_deny=True)
    one, other = (
        make_set(egress=closed, ingress=DirectionPolicy()), make_set(egress=DirectionPolicy(), ingress=closed),
    )  # fmt: skip
    assert one.key != other.key
