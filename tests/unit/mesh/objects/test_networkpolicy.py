"""NetworkPolicy."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.model import Action, Direction
from mesh.objects.kinds import from_document
from mesh.objects.networkpolicy import NetworkPolicy
from tests.support.manifests import network_policy, refusals

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS


def read(**spec: Any) -> NetworkPolicy:
    found = from_document(network_policy(**spec))
    assert isinstance(found, NetworkPolicy)
    return found


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, (INGRESS,)),
        ({"ingress": [{}]}, (INGRESS,)),
        ({"egress": [{}]}, (INGRESS, EGRESS)),
        ({"egress": []}, (INGRESS,)),
        ({"policyTypes": []}, (INGRESS,)),
        ({"policyTypes": ["Egress"]}, (EGRESS,)),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, (EGRESS,)),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, (INGRESS,)),
    ],
)
def test_policy_types_default_as_in_kubernetes(spec: dict[str, Any], types: tuple[Direction, ...]) -> None:
    assert read(**spec).policy_types == types


def test_a_rule_without_peers_means_anyone() -> None:
    policy = read(ingress=[{}, {"from": [{"podSelector": {}}]}])
    assert policy.ingress[0].peers is None
    assert policy.ingress[1].peers is not None
    assert [rule.index for rule in policy.ingress] == [0, 1]
    assert {rule.action for rule in policy.ingress} == {Action.ALLOW}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"ingress": [{"from": [{}]}]}, "spec.ingress[0].from[0]: names no peer"),
        ({"ingress": [{"to": []}]}, "spec.ingress[0].to: unknown field"),
        ({"egress": [{"from": []}]}, "spec.egress[0].from: unknown field"),
        ({"ingress": [{"http": []}]}, "spec.ingress[0].http: unknown field"),
        ({"ingress": [{"from": [{"entities": ["world"]}]}]}, "spec.ingress[0].from[0].entities: unknown field"),
        ({"ingres": []}, "spec.ingres: unknown field; did you mean 'ingress'?"),
        ({"ingress": {}}, "spec.ingress: expected a list, found a mapping"),
        ({"podSelector": []}, "spec.podSelector: expected a mapping, found a list"),
        ({"ingress": ["x"]}, "spec.ingress[0]: expected a mapping, found text"),
    ],
)
def test_bad_policies_are_refused(spec: dict[str, Any], problem: str) -> None:
    found = refusals(network_policy(**spec))
    assert any(text.startswith(problem) for text in found), found


def test_a_policy_without_spec_is_refused() -> None:
    document = network_policy()
    del document["spec"]
    assert refusals(document) == ["spec: is missing"]
