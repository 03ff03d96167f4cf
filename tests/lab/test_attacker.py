"""A hostile pod, root in its own namespace: what it tries is denied or inert, and counted under its reason."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.cluster import ATTACKS, Cluster
from tests.support.waiting import eventually

UNUSED = 7099
"""A port that the server's policy opens to its clients, and that nothing else here talks to."""
LANDMARKS = itertools.count(65_001)
"""Nor does anything to these, which are closed: each is knocked at once."""


def attack(mesh: Cluster, *arguments: str) -> Any:
    return mesh.exec("t/stranger", sys.executable, "-m", ATTACKS, *arguments).last()


def counted(mesh: Cluster, node: str = "node-a") -> dict[str, int]:
    """Packets by drop reason on a node."""
    rows = mesh.json("map", "dump", "counters", "--node", node)
    totals: dict[str, int] = {}
    for row in rows:
        reason = row["key"]["reason"]
        totals[reason] = totals.get(reason, 0) + row["value"]["packets"]
    return totals


@contextmanager
def counting(mesh: Cluster, reason: str, at_least: int = 1) -> Iterator[None]:
    before = counted(mesh).get(reason, 0)
    yield
    # what was sent may wait for its turn in a queue of the kernel
    eventually(lambda: counted(mesh).get(reason, 0) - before, lambda more: more >= at_least)


def flows_to(mesh: Cluster, port: int) -> list[dict[str, Any]]:
    """All records of the node's flows to that port until now: they come in order, and a later one has come."""
    landmark = next(LANDMARKS)
    assert attack(mesh, "knock", mesh.address("t/server-a"), str(landmark)) == {str(landmark): "EPERM"}
    mesh.wait_for_flow(lambda flow: flow["to"]["port"] == landmark)
    return [flow for flow in mesh.flows() if flow["to"]["port"] == port]


@pytest.mark.parametrize("family", [4, 6])
def test_spoofed_source_goes_nowhere(mesh: Cluster, family: int) -> None:
    """It claims to be a pod that may talk to the server."""
    victim, server = mesh.address("t/client-a", family), mesh.address("t/server-a", family)
    with counting(mesh, "spoofed-source", 20):
        attack(mesh, "spoof", victim, server, str(UNUSED), "10")
    assert {flow.get("dropReason") for flow in flows_to(mesh, UNUSED)} == {"spoofed-source"}


def test_marks_mean_nothing_inside_a_pod(mesh: Cluster) -> None:
    answers = attack(mesh, "marks", mesh.address("t/server-a"), "9090")
    assert set(answers.values()) == {"ECONNREFUSED"}, answers
    answers = attack(mesh, "marks", mesh.address("t/server-b"), "9090")
    assert set(answers.values()) == {"ECONNREFUSED"}, answers


def test_ports_of_proxy_and_agent_are_closed(mesh: Cluster) -> None:
    node = next(row for row in mesh.json("node", "list") if row["name"] == "node-a")
    for address in node["addresses"]:
        answers = attack(mesh, "knock", address, "15001")
        assert "ok" not in answers.values(), answers
        assert "closed" not in answers.values(), answers


def test_odd_flags_make_no_connection(mesh: Cluster) -> None:
    with counting(mesh, "malformed", 5):
        attack(mesh, "flags", mesh.address("t/server-a"), "9090", "2")


def test_fragments_do_not_slip_past(mesh: Cluster) -> None:
    with counting(mesh, "fragment-tiny"), counting(mesh, "fragment-unknown"):
        attack(mesh, "fragments", mesh.address("t/server-a"), "9090")


def test_extension_headers_do_not_hide_ports(mesh: Cluster) -> None:
    with counting(mesh, "extension-header", 2):
        attack(mesh, "extensions", mesh.address("t/server-a", 6), "9090")


def test_neighbour_discovery_carries_nothing_away(mesh: Cluster) -> None:
    """To a pod of the other node, in another pod's name, and as a router."""
    with counting(mesh, "malformed", 5), counting(mesh, "spoofed-source", 8):
        attack(mesh, "discovery", mesh.address("t/server-b", 6), mesh.address("t/client-a", 6))


def test_errors_carry_nothing_to_third_parties(mesh: Cluster) -> None:
    """A pod may always talk to its node, so it always has a flow to quote."""
    node = next(row for row in mesh.json("node", "list") if row["name"] == "node-a")
    asked = next(address for address in node["addresses"] if ":" not in address)
    with counting(mesh, "malformed", 2):
        attack(mesh, "errors", mesh.address("t/server-b"), asked)


def test_mapped_sockets_meet_the_same_policy(mesh: Cluster) -> None:
    answers = attack(mesh, "mapped", mesh.address("t/server-a"), "9999")
    assert answers == {"tcp": "EPERM", "udp": "EPERM"}
    answers = attack(mesh, "mapped", mesh.address("t/server-b"), "9090")
    assert answers["tcp"] == "ECONNREFUSED"
