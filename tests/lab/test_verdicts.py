"""What is allowed passes, what is denied is refused at once and recorded with its reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.waiting import eventually

SERVERS = ("t/server-a", "t/server-b")


def reach(mesh: Cluster, pod: str, *targets: tuple[str, str, int]) -> list[str]:
    return [row[3] for row in mesh.probe(pod, "reach", json.dumps(targets))]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_client_reaches_what_policy_opens_and_nothing_else(mesh: Cluster, server: str, family: int) -> None:
    ip = mesh.address(server, family)
    assert reach(mesh, "t/client-a", ("tcp", ip, 9090), ("udp", ip, 5353)) == ["ok", "ok"]
    assert reach(mesh, "t/client-a", ("tcp", ip, 9999)) == ["ECONNREFUSED"]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_stranger_is_reset_at_the_server(mesh: Cluster, server: str, family: int) -> None:
    """Its egress allows these ports, the server's ingress does not: a reset or an ICMP error, and no time-out."""
    ip = mesh.address(server, family)
    assert reach(mesh, "t/stranger", ("tcp", ip, 9090), ("tcp", ip, 8080)) == ["ECONNREFUSED", "ECONNREFUSED"]
    (udp,) = reach(mesh, "t/stranger", ("udp", ip, 5353))
    assert udp in ("EHOSTUNREACH", "EACCES", "ECONNREFUSED", "EPERM"), udp


def test_denied_egress_fails_in_connect(mesh: Cluster) -> None:
    ip = mesh.address("t/server-a")
    assert reach(mesh, "t/stranger", ("tcp", ip, 9999), ("udp", ip, 53)) == ["EPERM", "EPERM"]


@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_http_rules_decide_requests(mesh: Cluster, server: str) -> None:
    ip = mesh.address(server)
    curl = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "60")
    assert mesh.exec("t/client-a", *curl, f"http://{ip}:8080/public/x").out == "200"
    assert mesh.exec("t/client-a", *curl, f"http://{ip}:8080/secret/of-rules").out == "403"
    assert mesh.exec("t/client-a", *curl, "-X", "POST", f"http://{ip}:8080/public/x").out == "403"
    denied = mesh.wait_for_flow(
        lambda flow: (
            flow["verdict"] == "deny"
            and flow.get("http", {}).get("path") == "/secret/of-rules"
            and flow["to"]["pod"] == server.partition("/")[2]
        )
    )
    assert denied["layer"] == "L7"
    assert denied["http"]["status"] == 403
    assert "t/server-http" in denied["policies"]
    assert denied["from"]["pod"] == "client-a"


def test_every_denial_names_its_policies(mesh: Cluster) -> None:
    ip, begin = mesh.address("t/server-b"), datetime.now(UTC).isoformat()

    def denials() -> dict[tuple[str, int], dict[str, Any]]:
        """Tried each time: a record can be that of an earlier try, which has begun before this test."""
        reach(mesh, "t/stranger", ("tcp", ip, 9090), ("tcp", ip, 9999))
        flows = mesh.flows("--since", begin, "--verdict", "deny", "--from", "t/stranger", "--to", "t/server-b")
        return {(flow["direction"], flow["to"]["port"]): flow for flow in flows}

    seen = eventually(denials, lambda found: {("ingress", 9090), ("egress", 9999)} <= {*found})
    at_server, at_client = seen["ingress", 9090], seen["egress", 9999]
    assert "t/server" in at_server["policies"]
    assert at_server["node"] == "node-b"
    assert at_client["policies"] == ["t/stranger-egress"]


def test_answers_of_policy_check_agree_with_packets(mesh: Cluster) -> None:
    for pod, port, expected in (
        ("t/client-a", 9090, "allow"),
        ("t/client-a", 9999, "deny"),
        ("t/stranger", 9090, "deny"),
    ):
        answer = mesh.weft(
            "policy", "check", "--from", pod, "--to", "t/server-b", "--port", str(port), "-o", "json"
        ).json()
        assert answer["verdict"] == expected
        (result,) = reach(mesh, pod, ("tcp", mesh.address("t/server-b"), port))
        assert (result == "ok") == (expected == "allow")


def test_service_without_endpoints_is_refused_at_once(mesh: Cluster) -> None:
    mesh.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: nobody, namespace: t}\n"
        "spec: {selector: {app: nobody}, ports: [{port: 80}]}\n"
    )
    try:
        ip = mesh.json("get", "service", "nobody", "-n", "t")["spec"]["clusterIP"]
        assert reach(mesh, "t/client-a", ("tcp", ip, 80)) == ["ECONNREFUSED"]
    finally:
        mesh.delete("service", "t/nobody")


def test_a_port_that_the_service_does_not_have_is_refused(mesh: Cluster) -> None:
    ip = mesh.json("get", "service", "server", "-n", "t")["spec"]["clusterIP"]
    assert reach(mesh, "t/client-a", ("tcp", ip, 12345)) == ["ECONNREFUSED"]


def test_a_datagram_server_may_answer_although_its_egress_is_closed(mesh: Cluster) -> None:
    """What a flow's ingress allowed is answered, also from an unconnected socket, whatever egress policy says."""
    mesh.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed, namespace: t}\n"
        "spec: {podSelector: {matchLabels: {app: server}}, policyTypes: [Egress]}\n"
    )
    try:
        targets = [("udp", mesh.address(server, family), 5353) for server in SERVERS for family in (4, 6)]
        assert reach(mesh, "t/client-a", *targets) == ["ok"] * 4
    finally:
        mesh.delete("networkpolicy", "t/closed")


def test_cluster_dns_resolves_services(mesh: Cluster) -> None:
    out = mesh.exec("t/client-a", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://server.t/").out
    assert out == "200"
    out = mesh.exec("t/client-a", "getent", "ahostsv4", "server.t.svc.cluster.local").out
    assert out.split()[0] == mesh.json("get", "service", "server", "-n", "t")["spec"]["clusterIP"]
