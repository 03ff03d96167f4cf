"""Objects in words."""

from __future__ import annotations

import pytest

from cli.describing import describe
from cli.kinds import KINDS
from tests.unit.cli import samples


def test_a_policy_reads_as_its_rules() -> None:
    assert describe(samples.mesh_policy()).splitlines() == [
        "Kind:              MeshPolicy",
        "Name:              payments",
        "Namespace:         shop",
        "Labels:            <none>",
        "Pods:              app=payments",
        "Directions:        Ingress",
        "Ingress:",
        "  ingress[0] Allow (read-only)",
        "    From:          service accounts shop/checkout",
        "    Ports:         TCP/8080",
        "    HTTP:          GET, path prefix /api/",
        "  ingress[1] Deny",
        "    From:          10.0.0.0/8 except 10.1.0.0/16",
        "    Ports:         every port",
    ]


def test_a_direction_without_rules_is_said_to_allow_nothing() -> None:
    assert "Ingress:           nothing is allowed by this policy" in describe(samples.network_policy())


def test_a_pod_names_the_policies_that_select_it() -> None:
    shown = describe(samples.pod(), policies=[{"kind": "MeshPolicy", "policy": "shop/payments"}])
    assert "IPs:               10.1.0.2, fd00::2" in shown
    assert "TCP/8080 (http)" in shown
    assert shown.endswith("Policies:\n  MeshPolicy shop/payments")
    assert "none selects this pod" in describe(samples.pod())


def test_an_annotation_stays_on_its_line() -> None:
    item = {"kind": "Namespace", "metadata": {"name": "x", "annotations": {"a": "b\n c", "long": "y" * 500}}}
    lines = describe(item).splitlines()
    assert "  a=b c" in lines
    assert max(map(len, lines)) < 120


def test_services_nodes_and_slices() -> None:
    assert "Cluster IPs:       10.96.0.7,fd00:10:96::7" in describe(samples.service())
    assert "10.1.0.9 -> <no pod> (not ready)" in describe(samples.endpoint_slice())
    assert "192.168.7.2 (InternalIP)" in describe(samples.node())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_object_without_anything_can_be_described(kind: object) -> None:
    name = str(getattr(kind, "name", ""))
    assert describe({"kind": name, "metadata": {"name": "x"}}).startswith(f"Kind:              {name}")
