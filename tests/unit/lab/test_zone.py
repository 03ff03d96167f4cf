"""The cluster's names."""

from __future__ import annotations

from typing import Any

import pytest

from lab.slices import endpoint_slices
from lab.zone import answer, build
from tests.unit.lab.documents import placed, service


@pytest.fixture
def zone() -> dict[str, Any]:
    pods = [placed("a", "10.0.0.1", "fd00::1", labels={"app": "web"}), placed("b", "10.0.0.2", labels={"app": "web"})]
    services = [
        service("web", clusterIP="10.96.0.7", clusterIPs=["10.96.0.7", "fd00:96::7"]),
        service("members", clusterIP="None"),
    ]
    slices = endpoint_slices(services, pods, {"shop/a"})
    return build(services, slices.values(), pods)


@pytest.mark.parametrize(
    ("name", "kind", "code", "records"),
    [
        ("web.shop.svc.cluster.local.", "A", "NOERROR", (("A", "10.96.0.7"),)),
        ("WEB.shop.SVC.cluster.local", "AAAA", "NOERROR", (("AAAA", "fd00:96::7"),)),
        ("web.shop.svc.cluster.local", "MX", "NOERROR", ()),
        ("members.shop.svc.cluster.local", "A", "NOERROR", (("A", "10.0.0.1"),)),
        ("10-0-0-1.members.shop.svc.cluster.local", "A", "NOERROR", (("A", "10.0.0.1"),)),
        ("10-0-0-2.shop.pod.cluster.local", "A", "NOERROR", (("A", "10.0.0.2"),)),
        ("_http._tcp.web.shop.svc.cluster.local", "SRV", "NOERROR", (("SRV", "80 web.shop.svc.cluster.local"),)),
        ("7.0.96.10.in-addr.arpa", "PTR", "NOERROR", (("PTR", "web.shop.svc.cluster.local"),)),
        ("shop.svc.cluster.local", "A", "NOERROR", ()),
        ("nobody.shop.svc.cluster.local", "A", "NXDOMAIN", ()),
        ("web.shop.cluster.local", "A", "NXDOMAIN", ()),
        ("9.9.9.9.in-addr.arpa", "PTR", "NXDOMAIN", ()),
        ("example.com", "A", "REFUSED", ()),
        ("notcluster.local", "A", "REFUSED", ()),
    ],
)
def test_answers(zone: dict[str, Any], name: str, kind: str, code: str, records: tuple[tuple[str, str], ...]) -> None:
    said = answer(zone, name, kind)
    assert (said.code, said.records) == (code, records)


def test_members_that_are_not_ready_are_named_where_the_service_says_so() -> None:
    pods = [placed("a", "10.0.0.1", labels={"app": "web"})]
    services = [service("members", clusterIP="None", publishNotReadyAddresses=True)]
    zone = build(services, endpoint_slices(services, pods, ()).values(), pods)
    assert answer(zone, "members.shop.svc.cluster.local", "A").records == (("A", "10.0.0.1"),)
