"""policy show in words."""

from __future__ import annotations

from typing import Any

from cli.policytext import policies, shown

REF = {"policy": "shop/payments", "kind": "MeshPolicy", "rule": "ingress[0]", "name": "read", "action": "Allow"}
ANSWER: dict[str, Any] = {
    "enforced": True,
    "addresses": [{"ip": "10.1.0.3", "identity": 257}],
    "policies": [{"policy": "shop/payments", "kind": "MeshPolicy"}],
    "egress": {"defaultDeny": False, "selectedBy": [], "rules": []},
    "ingress": {
        "defaultDeny": True,
        "selectedBy": [{**REF, "rule": ""}],
        "rules": [
            {
                "ref": REF,
                "action": "Allow",
                "grants": [{"peers": [256], "ports": [{"protocol": "TCP", "port": 8080}]}],
                "http": [{"methods": ["GET"]}, {"methods": ["HEAD"]}, {"methods": ["PUT"]}, {"methods": ["POST"]}],
            }
        ],
    },
}


def test_a_pod_with_a_policy() -> None:
    assert shown(ANSWER, pod="shop/payments").splitlines() == [
        "Pod:       shop/payments",
        "Policies:  MeshPolicy shop/payments",
        "Addresses: 10.1.0.3 (identity 257)",
        "",
        "Egress: allowed unless a rule denies it",
        "  no rules",
        "",
        "Ingress: denied unless a rule allows it",
        '  Allow  MeshPolicy shop/payments ingress[0] "read"  (http)',
        "         256 on TCP/8080",
        "         GET",
        "         HEAD",
        "         PUT",
        "         and 1 more (-o wide)",
    ]
    assert "         POST" in shown(ANSWER, pod="shop/payments", wide=True)


def test_http_without_a_match_is_not_no_http() -> None:
    rule = {**ANSWER["ingress"]["rules"][0], "http": []}
    answer = {**ANSWER, "ingress": {**ANSWER["ingress"], "rules": [rule]}}
    assert "(http)" in shown(answer, pod="a/b")
    assert "no request matches" in shown(answer, pod="a/b", wide=True)


def test_a_pod_outside_of_the_mesh_is_said_to_be() -> None:
    assert "Enforced:  no" in shown({"enforced": False}, pod="a/b")
    assert "none selects this pod" in shown({}, pod="a/b")


def test_policies_once_each() -> None:
    assert policies(ANSWER) == [("MeshPolicy", "shop/payments")]
