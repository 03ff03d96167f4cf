"""Answers about policy without a packet: the verdict, who decided, and what was asked about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.errors import BadQuestion
from controller.simulate import check, identities, show
from mesh.api.codec_question import CheckQuestion
from tests.unit.controller.manifests import POLICY, SHOP, pod
from tests.unit.controller.views import compiled

EGRESS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: shop}
spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{ports: [{port: 8080}]}]}
"""


def ask(*texts: str, **question: Any) -> dict[str, Any]:
    view, intent = compiled(SHOP, *texts)
    asked = CheckQuestion(**{"source": "shop/client", "destination": "shop/pay", "port": 8080, **question})
    answer = check(view, intent, asked)
    assert json.loads(json.dumps(answer)) == answer
    return answer


def test_without_policy_everything_is_allowed_and_nobody_decided() -> None:
    answer = ask()
    assert (answer["verdict"], answer["decidedBy"], answer["needsL7"]) == ("allow", [], False)


@pytest.mark.parametrize(
    ("request_", "verdict", "layer"),
    [({}, "allow", "L7"), ({"method": "GET"}, "allow", "L7"), ({"method": "POST", "path": "/x"}, "deny", "L7")],
)
def test_a_request_is_decided_by_its_rule(request_: dict[str, str], verdict: str, layer: str) -> None:
    answer = ask(POLICY, **request_)
    assert (answer["verdict"], answer["layer"]) == (verdict, layer)
    assert answer["decidedBy"][0]["policy"] == "shop/pay"
    if not request_:
        assert answer["needsL7"]


HEADERS = """
apiVersion: weft.dev/v1alpha1
kind: MeshPolicy
metadata: {name: values, namespace: shop}
spec:
  podSelector: {matchLabels: {app: pay}}
  ingress:
  - {action: Allow, http: [{}]}
  - {action: Deny, http: [{headers: [{name: x-env, regex: "[^a-z]."}]}]}
"""


@pytest.mark.parametrize(
    ("value", "verdict"),
    [("prod", "allow"), (" p", "allow"), ("-p", "deny"), ("\u00e9", "deny"), ("\u20ac", "allow")],
)
def test_a_header_value_is_judged_as_the_proxy_reads_its_bytes(value: str, verdict: str) -> None:
    """Two bytes of UTF-8 are two characters to a rule, three are three."""
    answer = ask(HEADERS, headers=(("X-Env", value),))
    assert (answer["verdict"], answer["layer"]) == (verdict, "L7")


def test_a_default_deny_names_the_policies_behind_it() -> None:
    answer = ask(POLICY, port=9999)
    assert (answer["verdict"], answer["layer"]) == ("deny", "L3L4")
    assert answer["decidedBy"] == [{"policy": "shop/pay", "kind": "MeshPolicy", "rule": ""}]


def test_both_halves_are_told() -> None:
    answer = ask(POLICY, EGRESS, method="GET")
    assert [answer[half]["decidedBy"][0]["policy"] for half in ("egress", "ingress")] == ["shop/out", "shop/pay"]
    assert {ref["policy"] for ref in answer["decidedBy"]} == {"shop/out", "shop/pay"}


def test_a_service_is_asked_by_its_own_port() -> None:
    answer = ask(POLICY, destination="shop/payments", port=80, method="GET")
    assert answer["verdict"] == "allow"
    assert (answer["to"]["service"], answer["to"]["port"]) == ("shop/payments", 8080)


def test_backends_that_do_not_agree_give_the_strictest_answer_and_the_others() -> None:
    other = pod("pay-2", labels={"app": "other"}, spec={"nodeName": "node-1"}, status={"podIP": "10.244.1.7"})
    other = other.replace('"default"', '"shop"')
    piece = SHOP.split("---")[-1].replace("payments-1", "payments-2").replace("10.244.1.5", "10.244.1.7")
    answer = ask(POLICY, other, piece, destination="shop/payments", port=80, method="POST")
    assert answer["verdict"] == "deny"
    assert [case["verdict"] for case in answer["cases"]] == ["deny", "allow"]
    assert "10.244.1.7 allow" in answer["message"]


@pytest.mark.parametrize("block", ["10.0.0.0/8", "0.0.0.0/0"])
def test_a_block_that_is_treated_in_parts_says_what_to_ask_instead(block: str) -> None:
    inside = POLICY.replace("podSelector: {matchLabels: {app: client}}", "ipBlock: {cidr: 10.244.1.0/24}")
    assert inside != POLICY
    answer = ask(inside, source=block, method="GET")
    assert answer["verdict"] == "deny"
    assert answer["message"] == f"Not all of {block} fares alike: ask about one pod or address in it."
    assert len(answer["message"]) <= 80
    assert {case["verdict"] for case in answer["cases"]} == {"allow", "deny"}


def test_the_world_and_the_node_are_peers_too() -> None:
    assert ask(POLICY, source="8.8.8.8")["verdict"] == "deny"
    assert ask(POLICY, source="192.168.9.1", method="POST")["verdict"] == "allow"
    assert ask(POLICY, source="192.168.9.2")["verdict"] == "deny"
    assert ask(POLICY, source="shop/pay", method="POST")["verdict"] == "allow"


def test_a_path_that_the_proxy_does_not_read_is_denied() -> None:
    answer = ask(POLICY, method="GET", path="/a/../b")
    assert (answer["verdict"], answer["layer"]) == ("deny", "L7")
    assert "400" in answer["message"]
    assert ask(method="GET", path="/a/../b")["verdict"] == "allow"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"protocol": "smoke"}, "is not a protocol"),
        ({"protocol": "udp", "method": "GET"}, "go with protocol tcp"),
        ({"source": "fd00::1"}, "have no address family in common"),
    ],
)
def test_questions_without_sense_are_refused(question: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadQuestion, match=reason):
        ask(**question)


def test_show_resolves_rules_to_peers() -> None:
    view, _ = compiled(SHOP, POLICY)
    answer = show(view, "shop", "pay")
    assert answer["policies"] == [{"kind": "MeshPolicy", "policy": "shop/pay"}]
    assert (answer["ingress"]["defaultDeny"], answer["egress"]["defaultDeny"]) == (True, False)
    (rule,) = answer["ingress"]["rules"]
    assert (rule["rule"], rule["name"], rule["action"]) == ("ingress[0]", "read-only", "Allow")
    assert rule["http"] == [{"methods": ["GET"]}]
    assert rule["grants"][0]["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert [peer["pods"] for peer in rule["grants"][0]["peers"]] == [["shop/client"]]


def test_identities_name_the_pods_that_have_them() -> None:
    view, _ = compiled(SHOP)
    answer = identities(view)
    held = {pod for row in answer["identities"] for pod in row["pods"]}
    assert held == {"shop/client", "shop/pay"}
    assert answer["revision"] == view.revision
