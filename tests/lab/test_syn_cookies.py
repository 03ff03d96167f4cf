"""TCP answers with SYN cookies when a queue is full, and such answers have no socket: the proxy works all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster

NODES = ("node:node-a", "node:node-b")
SETTING = "/proc/sys/net/ipv4/tcp_syncookies"


@pytest.fixture(scope="module")
def cookies(mesh: Cluster) -> Iterator[Cluster]:
    """Always, as if a flood had filled the queue of the proxy's listener (ip-sysctl.rst: 2 is for tests)."""
    for node in NODES:
        mesh.exec(node, "sh", "-c", f"echo 2 > {SETTING}")
    yield mesh
    for node in NODES:
        mesh.exec(node, "sh", "-c", f"echo 1 > {SETTING}")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_requests_are_authorised_on_connections_made_by_cookie(cookies: Cluster, server: str, family: int) -> None:
    ip = cookies.address(server, family)
    for path, counts in (("/public", {"ok": 5}), ("/secret", {"403": 5})):
        seen = cookies.probe("t/client-a", "reuse", ip, "8080", path, "5", "5", "23000")
        assert seen["counts"] == counts
        assert seen["synsAgain"] == 0, seen
    sent = cookies.exec("node:node-a" if server == "t/server-a" else "node:node-b", "cat", "/proc/net/netstat").out
    names, values = sent.splitlines()[:2]
    assert int(dict(zip(names.split(), values.split(), strict=True))["SyncookiesRecv"]) >= 5
