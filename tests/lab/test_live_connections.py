"""A policy change reaches connections that are open: idle, client sending, server sending; both ends see the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster
from tests.support.lanes import firewall

LONGEST = "150"
"""Seconds that a connection is held, and is "alive" then: nothing but policy ends it."""
DENY = """
apiVersion: weft.dev/v1alpha1
kind: MeshPolicy
metadata: {name: cut, namespace: t}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - action: Deny
    from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{port: 7000, endPort: 7100}]
"""


@pytest.fixture(params=["fast path", "routed"])
def way(mesh: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """A firewall's chain closes the fast path."""
    if request.param == "fast path":
        yield
        return
    with firewall(mesh, "node-a", "node-b"):
        yield


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_a_new_deny_cuts_connections_that_are_open(mesh: Cluster, server: str, family: int) -> None:
    ip = mesh.address(server, family)
    modes = {"idle": 7000, "send": 7001, "receive": 7002}
    servers = {mode: mesh.start_probe(server, "serve", str(port), LONGEST) for mode, port in modes.items()}
    clients = {
        mode: mesh.start_probe("t/client-a", "hold", ip, str(port), mode, LONGEST) for mode, port in modes.items()
    }
    mesh.apply(DENY)
    try:
        at_client, at_server = {}, {}
        for mode in modes:
            at_client[mode] = clients[mode].wait()
            at_server[mode] = servers[mode].wait()["ends"]
    finally:
        mesh.delete("meshpolicy", "t/cut")
    for mode in modes:
        assert at_client[mode]["ended"] in ("ECONNRESET", "ECONNABORTED", "EPIPE", "closed"), at_client
        assert at_server[mode][0] in ("ECONNRESET", "ECONNABORTED", "EPIPE", "closed"), at_server
