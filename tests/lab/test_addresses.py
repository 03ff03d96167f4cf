"""The server sees the client's own address: one node and two, IPv4 and IPv6, L4 and through the proxy, TCP and UDP."""

from __future__ import annotations

import json

import pytest

from tests.support.cluster import Cluster


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
@pytest.mark.parametrize(("protocol", "port"), [("tcp", 9090), ("udp", 5353), ("http", 8080)])
def test_server_sees_the_clients_address(mesh: Cluster, protocol: str, port: int, server: str, family: int) -> None:
    client, target = mesh.address("t/client-a", family), mesh.address(server, family)
    seen = mesh.probe("t/client-a", "whoami", protocol, target, str(port))
    assert seen["local"] == client
    assert client in seen["answer"], seen
    if protocol == "http":
        status, _, body = seen["answer"].partition("\r\n\r\n")
        assert " 200 " in status.splitlines()[0]
        assert json.loads(body)["pod"] == server.partition("/")[2]


@pytest.mark.parametrize("family", [4, 6])
def test_through_the_service_the_peer_stays_the_service(mesh: Cluster, family: int) -> None:
    """getpeername() and recvfrom() name the ClusterIP that the application asked for, not the backend."""
    service = next(
        ip
        for row in mesh.json("get", "service", "server", "-n", "t")["spec"]["clusterIPs"]
        for ip in [row]
        if (":" in ip) == (family == 6)
    )
    for protocol, port in (("tcp", 90), ("udp", 53), ("http", 80)):
        seen = mesh.probe("t/client-a", "whoami", protocol, service, str(port))
        assert (seen["peer"], seen["peerPort"]) == (service, port)
        assert mesh.address("t/client-a", family) in seen["answer"], seen
