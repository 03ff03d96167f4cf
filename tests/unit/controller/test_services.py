"""Frontends: families, names of ports, readiness, order."""

from __future__ import annotations

import json
from typing import Any

from controller.services import frontends
from tests.unit.controller.manifests import intent_of, service


def piece(
    name: str, family: str, addresses: list[str], *, ready: bool = True, port: dict[str, Any] | None = None
) -> str:
    return json.dumps(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": family,
            "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
            "ports": [port or {"port": 8080, "protocol": "TCP"}],
        }
    )


def backends_of(*texts: str) -> dict[str, list[str]]:
    found = frontends(intent_of(*texts).objects())
    return {key: [f"{one.address} {one.port}" for one in frontend.backends] for key, frontend in found.items()}


WEB = service("web", clusterIPs=["10.96.0.9", "fd00:10:96::9"], selector={"app": "web"})


def test_each_family_has_its_own_backends_sorted_and_once() -> None:
    found = backends_of(
        WEB,
        piece("a", "IPv4", ["10.0.0.10", "10.0.0.9"]),
        piece("b", "IPv4", ["10.0.0.9"]),
        piece("c", "IPv6", ["fd00::1"]),
    )
    assert found == {
        "10.96.0.9|TCP|80": ["10.0.0.9 8080", "10.0.0.10 8080"],
        "fd00:10:96::9|TCP|80": ["fd00::1 8080"],
    }


def test_those_that_are_not_ready_are_left_out_unless_the_service_wants_them() -> None:
    idle = piece("a", "IPv4", ["10.0.0.9"], ready=False)
    assert backends_of(WEB, idle)["10.96.0.9|TCP|80"] == []
    eager = service("web", clusterIP="10.96.0.9", publishNotReadyAddresses=True)
    assert backends_of(eager, idle)["10.96.0.9|TCP|80"] == ["10.0.0.9 8080"]


def test_ports_meet_by_name_and_protocol() -> None:
    two = service(
        "web",
        clusterIP="10.96.0.9",
        ports=[{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}],
    )
    found = backends_of(two, piece("a", "IPv4", ["10.0.0.9"], port={"name": "dns", "port": 5353, "protocol": "UDP"}))
    assert found == {"10.96.0.9|TCP|80": [], "10.96.0.9|UDP|53": ["10.0.0.9 5353"]}


def test_a_headless_service_has_no_frontend() -> None:
    assert backends_of(service("web", clusterIP="None"), piece("a", "IPv4", ["10.0.0.9"])) == {}
