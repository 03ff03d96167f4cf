"""The table of every kind."""

from __future__ import annotations

from typing import Any

import pytest

from cli.columns import kinded, pod_ips, ready, service_ports, view
from cli.grid import render
from cli.kinds import KINDS, find
from tests.unit.cli import samples


def table(kind: str, *rows: dict[str, Any], wide: bool = False) -> list[str]:
    columns = view(find(kind), with_namespace=True).columns
    return render(columns, rows, wide=wide, width=None if wide else 80).splitlines()


def test_pods_fit_eighty_columns() -> None:
    assert table("pod", samples.pod(), samples.pod("recommendations-v2-7d9f8", ip="10.1.0.20")) == [
        "NAMESPACE  NAME                      READY  STATUS   IP         NODE",
        "shop       client                    1/1    Running  10.1.0.2   node-1",
        "shop       recommendations-v2-7d9f8  1/1    Running  10.1.0.20  node-1",
    ]


def test_services_nodes_and_slices() -> None:
    assert table("service", samples.service())[1].split() == [
        "shop",
        "payments",
        "ClusterIP",
        "10.96.0.7,fd00:10:96::7",
        "80->8080/TCP",
    ]
    assert "10.1.0.0/24" in table("no", samples.node())[1]
    assert table("eps", samples.endpoint_slice())[1].split() == [
        "shop",
        "payments-v4",
        "payments",
        "IPv4",
        "TCP/8080",
        "10.1.0.3,10.1.0.9",
    ]


def test_policies_say_how_many_rules_they_have() -> None:
    assert table("mp", samples.mesh_policy())[1] == (
        "shop       payments  app=payments  Ingress  1 Allow, 1 Deny (1 http)"
    )
    assert table("netpol", samples.network_policy())[1].endswith("all           Ingress,Egress  1 Allow")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_object_without_anything_can_be_shown(kind: object) -> None:
    name = str(getattr(kind, "name", ""))
    assert "x" in table(name, {"kind": name, "metadata": {"name": "x"}}, wide=True)[1]


def test_pieces() -> None:
    assert pod_ips({"status": {"podIP": "10.0.0.1"}}) == ["10.0.0.1"]
    assert ready({"spec": {"containers": [{}, {}]}, "status": {"containerStatuses": [{"ready": True}]}}) == "1/2"
    assert service_ports({"spec": {"ports": [{"port": 53, "protocol": "UDP"}]}}) == "53/UDP"
    assert kinded(samples.pod()) == "Pod shop/client"
