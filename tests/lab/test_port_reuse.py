"""A pod uses a source port again while the node still holds the last connection from it (TIME_WAIT at the proxy)."""

from __future__ import annotations

import pytest

from tests.support.cluster import Cluster
from tests.support.waiting import eventually

REQUESTS, PORTS = 300, 4
"""Within the 60 s of TIME_WAIT: every request but the first four meets the remains of the one four before it."""


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_a_source_port_can_be_used_again_at_once(mesh: Cluster, server: str, family: int) -> None:
    ip = mesh.address(server, family)
    seen = mesh.probe("t/client-a", "reuse", ip, "8080", "/public", str(REQUESTS), str(PORTS))
    assert seen["counts"] == {"ok": REQUESTS}, seen
    assert seen["synsAgain"] == 0, seen
    seen = mesh.probe("t/client-a", "reuse", ip, "8080", "/secret", str(2 * PORTS), str(PORTS))
    assert seen["counts"] == {"403": 2 * PORTS}, "the reused port brings no old verdict"


def test_it_can_after_a_restart_of_agent_and_proxy(mesh: Cluster) -> None:
    """The listeners stay the same ones, or new ones are given to the kernel."""
    ip = mesh.address("t/server-a")
    for how, component in (("restart", "agent"), ("restart", "proxy"), ("kill", "proxy"), ("kill", "agent")):
        if how == "kill":
            mesh.kill(component)
        else:
            mesh.weft("lab", how, component)
            mesh.whole()
        seen = mesh.probe("t/client-a", "reuse", ip, "8080", "/public", str(4 * PORTS), str(PORTS))
        assert seen["counts"] == {"ok": 4 * PORTS}, (how, component, seen)


OPEN = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: t}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{port: 8080}]
"""


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_what_the_proxy_leaves_behind_does_not_swallow_direct_connections(
    mesh: Cluster, server: str, family: int
) -> None:
    """The port was proxied a moment ago and is direct now. The node still has sockets with the tuples of either leg, in
    TIME_WAIT or kept for the next request: they must not take packets of the new connections out of the node's way."""
    ip = mesh.address(server, family)
    upstream = left_behind(mesh, server, family)
    mesh.apply(OPEN)
    try:
        direct = mesh.probe("t/client-a", "reuse", ip, "8080", "/secret", str(PORTS), str(PORTS))
        assert direct["counts"] == {"ok": PORTS}, direct
        assert direct["synsAgain"] == 0, direct
        for port in upstream:
            # The server still holds its end of that connection: the first SYN ends it, the second one is answered.
            direct = mesh.probe("t/client-a", "reuse", ip, "8080", "/secret", "1", "1", str(port))
            assert direct["counts"] == {"ok": 1}, direct
    finally:
        mesh.delete("networkpolicy", "t/open")


SHUT = """
apiVersion: weft.dev/v1alpha1
kind: MeshPolicy
metadata: {name: shut, namespace: t}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - action: Deny
    ports: [{port: 8080}]
"""


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_nor_the_resets_of_connections_that_are_denied(mesh: Cluster, server: str, family: int) -> None:
    ip = mesh.address(server, family)
    upstream = left_behind(mesh, server, family)
    mesh.apply(SHUT)
    try:
        for port in (*upstream, 20_000):
            denied = mesh.probe("t/client-a", "reuse", ip, "8080", "/", "1", "1", str(port))
            assert denied["counts"] == {"ECONNREFUSED": 1}, denied
            assert denied["synsAgain"] == 0, denied
    finally:
        mesh.delete("meshpolicy", "t/shut")


def left_behind(mesh: Cluster, server: str, family: int) -> list[int]:
    """Ports of connections that the proxy keeps to the server, after requests of the client's."""
    ip = mesh.address(server, family)

    def found() -> set[int]:
        proxied = mesh.probe("t/client-a", "reuse", ip, "8080", "/public", str(PORTS), str(PORTS))
        assert proxied["counts"] == {"ok": PORTS}
        kept = upstream_ports(mesh, f"node:node-{server[-1]}", mesh.address("t/client-a", family), ip)
        # The node chose them. The pod may have had one of the same number a minute ago, and could not use it now.
        return kept - {port for (_, port), _ in sockets(mesh, "t/client-a")}

    return sorted(eventually(found, bool, seconds=120))[:PORTS]


End = tuple[str, int]


def sockets(mesh: Cluster, place: str) -> list[tuple[End, End]]:
    """Both ends of every TCP socket there that has two, TIME_WAIT included."""
    rows = [line.split() for line in mesh.exec(place, "ss", "-Htan", "state", "connected").out.splitlines()]
    ends = [[end.rpartition(":") for end in row[3:5]] for row in rows]
    return [((own[0].strip("[]"), int(own[2])), (peer[0].strip("[]"), int(peer[2]))) for own, peer in ends]


def upstream_ports(mesh: Cluster, node: str, client: str, server: str) -> set[int]:
    """Ports of the proxy's own connections to the server, which bear the client's address."""
    return {port for (own, port), peer in sockets(mesh, node) if (own, peer) == (client, (server, 8080))}
