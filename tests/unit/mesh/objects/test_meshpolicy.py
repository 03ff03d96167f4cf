"""MeshPolicy: what is understood, what makes a direction default deny, and what is refused until it is."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.model import Action, Direction, HttpMatch
from mesh.objects.kinds import from_document
from mesh.objects.meshpolicy import MeshPolicy
from tests.support.manifests import mesh_policy, refusals

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
ALLOW, DENY = {"action": "Allow"}, {"action": "Deny"}


def read(**spec: Any) -> MeshPolicy:
    found = from_document(mesh_policy(**spec))
    assert isinstance(found, MeshPolicy)
    return found


@pytest.mark.parametrize(
    ("spec", "closed"),
    [
        ({}, (INGRESS,)),
        ({"ingress": [ALLOW]}, (INGRESS,)),
        ({"egress": [ALLOW]}, (EGRESS,)),
        ({"ingress": [DENY]}, ()),
        ({"ingress": [DENY], "policyTypes": ["Ingress"]}, (INGRESS,)),
        ({"ingress": [DENY], "egress": [ALLOW, DENY]}, (EGRESS,)),
        ({"policyTypes": ["Ingress", "Egress"]}, (INGRESS, EGRESS)),
    ],
)
def test_what_makes_a_direction_default_deny(spec: dict[str, Any], closed: tuple[Direction, ...]) -> None:
    assert read(**spec).default_deny == closed


def test_a_rule_is_read() -> None:
    peer = {"serviceAccounts": ["shop/checkout"], "podSelector": {"matchLabels": {"app": "checkout"}}}
    rule = {"name": "read-only", "action": "Deny", "from": [peer, {"entities": ["world", "cluster"]}], "http": [{}]}
    (found,) = read(ingress=[rule]).ingress
    assert (found.name, found.action, found.http) == ("read-only", Action.DENY, (HttpMatch(),))
    assert found.peers is not None
    assert found.peers[0].accounts == ("shop/checkout",)
    assert found.peers[0].pod_selector is not None
    assert found.peers[1].entities == ("world", "cluster")


def test_allow_is_the_action_that_nobody_needs_to_write() -> None:
    assert read(ingress=[{}]).ingress[0].action is Action.ALLOW


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"mode": "DryRun"}, "spec.mode: DryRun is"),
        ({"enableDefaultDeny": {"ingress": False}}, "spec.enableDefaultDeny:"),
        ({"ingress": [{"from": [{"spiffeIDs": ["spiffe://td/ns/a/sa/b"]}]}]}, "spec.ingress[0].from[0].spiffeIDs:"),
        ({"egress": [{"to": [{"services": ["shop/payments"]}]}]}, "spec.egress[0].to[0].services:"),
        ({"egress": [{"to": [{"fqdns": ["*.example.com"]}]}]}, "spec.egress[0].to[0].fqdns:"),
        ({"egress": [{"fqdns": ["*.example.com"]}]}, "spec.egress[0].fqdns:"),
        ({"ingress": [{"http": [{"grpc": [{}]}]}]}, "spec.ingress[0].http[0].grpc:"),
    ],
)
def test_what_is_not_understood_yet_is_refused(spec: dict[str, Any], field: str) -> None:
    said = refusals(mesh_policy(**spec))
    assert f"{field} not supported yet" in said
    assert "names no peer" not in said


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"mode": "Audit"}, "spec.mode: 'Audit' is none of Enforce, DryRun"),
        ({"ingress": [{"action": "allow"}]}, "spec.ingress[0].action: 'allow' is none of Allow, Deny"),
        ({"ingress": [{"from": [{}]}]}, "spec.ingress[0].from[0]: names no peer"),
        ({"ingress": [{"from": [{"entities": []}]}]}, "spec.ingress[0].from[0].entities: is empty"),
        (
            {"ingress": [{"from": [{"entities": ["all"]}]}]},
            "spec.ingress[0].from[0].entities[0]: 'all' is none of host",
        ),
        (
            {"ingress": [{"from": [{"serviceAccounts": ["a"]}]}]},
            "spec.ingress[0].from[0].serviceAccounts[0]: 'a' is not",
        ),
        (
            {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "entities": ["world"]}]}]},
            "spec.ingress[0].from[0].ipBlock: stands alone",
        ),
        (
            {"ingress": [{"ports": [{"port": 53, "protocol": "UDP"}], "http": [{}]}]},
            "spec.ingress[0].ports[0].protocol: http goes with TCP only",
        ),
        ({"policyTypes": ["Ingress"], "egress": [DENY]}, "spec.egress: policyTypes does not name Egress"),
        ({"ingress": [{"name": "Read Only"}]}, "spec.ingress[0].name: 'Read Only' is not a name"),
        ({"rules": []}, "spec.rules: unknown field"),
    ],
)
def test_bad_policies_are_refused(spec: dict[str, Any], problem: str) -> None:
    found = refusals(mesh_policy(**spec))
    assert any(text.startswith(problem) for text in found), found
