"""Selectors, peers, ports and matches in words."""

from __future__ import annotations

import pytest

from cli.selectors import directions, http, labels, peer, port, selector
from tests.unit.cli.samples import mesh_policy, network_policy


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, "all"),
        (None, ""),
        ({"matchLabels": {"a": "1", "b": "2"}}, "a=1,b=2"),
        ({"matchExpressions": [{"key": "t", "operator": "In", "values": ["x", "y"]}]}, "t in (x,y)"),
        ({"matchExpressions": [{"key": "t", "operator": "DoesNotExist"}]}, "!t"),
    ],
)
def test_selectors(found: object, expected: str) -> None:
    assert selector(found) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"podSelector": {}}, "all pods"),
        ({"podSelector": {"matchLabels": {"a": "1"}}}, "pods a=1"),
        ({"namespaceSelector": {}}, "all pods in any namespace"),
        ({"namespaceSelector": {"matchLabels": {"t": "x"}}, "podSelector": {}}, "all pods in namespaces t=x"),
        ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}, "10.0.0.0/8 except 10.1.0.0/16"),
        ({"entities": ["world"]}, "entities world"),
        ({"serviceAccounts": ["a/b", "c/d"]}, "service accounts a/b, c/d"),
    ],
)
def test_peers(found: dict[str, object], expected: str) -> None:
    assert peer(found) == expected


def test_ports_and_http() -> None:
    assert port({"port": 80, "endPort": 90, "protocol": "UDP"}) == "UDP/80-90"
    assert port({"port": "http"}) == "TCP/http"
    assert port({}) == "TCP/any"
    assert http({}) == "any request"
    assert (
        http(
            {
                "methods": ["GET", "HEAD"],
                "paths": [{"exact": "/a"}, {"prefix": "/b"}],
                "hosts": ["h"],
                "headers": [{"name": "x", "present": True}, {"name": "y", "exact": "1"}],
            }
        )
        == "GET,HEAD, path exact /a or prefix /b, host h, header x present, header y exact 1"
    )


def test_directions_follow_the_defaults() -> None:
    assert directions(network_policy()) == ["Ingress", "Egress"]
    assert directions(mesh_policy()) == ["Ingress"]
    assert directions({"kind": "NetworkPolicy", "spec": {"egress": [{}]}}) == ["Ingress", "Egress"]


def test_labels() -> None:
    assert labels({"b": "2", "a": "1"}) == "b=2,a=1"
    assert labels(None) == ""
