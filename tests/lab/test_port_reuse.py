"""A pod uses a source port again while the node still holds the last connection from it (TIME_WAIT at the proxy)."""

from __future__ import annotations

import pytest

from tests.support.cluster import Cluster

REQUESTS, PORTS = 300, 4
"""Within the 60 s of TIME_WAIT: every request but the first four meets the remains of the one four before it."""


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_a_source_port_can_be_used_again_at_once(mesh: Cluster, server: str, family: int) -> None:
    ip = mesh.address(server, family)
    seen = mesh.probe("t/client-a", "reuse", ip, "8080", "/public", str(REQUESTS), str(PORTS))
    assert seen["counts"] == {"ok": REQUESTS}, seen
    assert seen["slowest"] < 1, seen  # a SYN that had to be repeated takes a second
    seen = mesh.probe("t/client-a", "reuse", ip, "8080", "/secret", str(2 * PORTS), str(PORTS))
    assert seen["counts"] == {"403": 2 * PORTS}, "the reused port brings no old verdict"


def test_it_can_after_a_restart_of_agent_and_proxy(mesh: Cluster) -> None:
    """The listeners stay the same ones, or new ones are given to the kernel."""
    ip = mesh.address("t/server-a")
    for how, component in (("restart", "agent"), ("restart", "proxy"), ("kill", "proxy"), ("kill", "agent")):
        mesh.weft("lab", how, component)
        mesh.settle()
        seen = mesh.probe("t/client-a", "reuse", ip, "8080", "/public", str(4 * PORTS), str(PORTS))
        assert seen["counts"] == {"ok": 4 * PORTS}, (how, component, seen)
