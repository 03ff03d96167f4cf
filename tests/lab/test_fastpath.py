"""The fast path on real nodes: it is in use, carries everything whole, and closes when something would be missed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.lanes import firewall, inside

NODES = ("node-a", "node-b")
SERVERS = pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
PORT = "7050"


def routed(mesh: Cluster) -> int:
    """Packets that the nodes' IP stacks have forwarded, both families."""
    total = 0
    for node in NODES:
        lines = inside(mesh, node, "cat", "/proc/thread-self/net/snmp", "/proc/thread-self/net/snmp6").splitlines()
        names, values = [line.split() for line in lines if line.startswith("Ip:")]
        total += int(values[names.index("ForwDatagrams")])
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Ip6OutForwDatagrams"))
    return total


def passed(mesh: Cluster) -> float:
    """Packets that the programs have let through."""
    pages = [inside(mesh, node, "curl", "-sf", "http://127.0.0.1:15012/metrics") for node in NODES]
    return sum(
        float(line.split()[-1])
        for page in pages
        for line in page.splitlines()
        if line.startswith("weft_agent_packets_total") and 'reason="forwarded"' in line
    )


def warnings(mesh: Cluster, node: str) -> list[str]:
    return next(list(row["warnings"]) for row in mesh.json("status")["nodes"] if row["name"] == node)


def eventually(look: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not wanted(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.2)
    return seen


@pytest.mark.parametrize("family", [4, 6])
@SERVERS
def test_a_stream_is_carried_whole_and_is_not_routed(mesh: Cluster, server: str, family: int) -> None:
    """Large segments (GSO) with checksums that the sender left to the interface."""
    sink = mesh.start_probe(server, "sink", PORT, "20")
    was_routed, was_passed = routed(mesh), passed(mesh)
    sent = mesh.probe("t/client-a", "pour", mesh.address(server, family), PORT, "1")
    assert sink.wait() == sent
    assert sent["bytes"] > 10_000_000
    packets = passed(mesh) - was_passed
    assert packets > 1000
    assert routed(mesh) - was_routed < packets / 10


@pytest.mark.parametrize("family", [4, 6])
@SERVERS
def test_packets_look_as_if_they_had_been_routed(mesh: Cluster, server: str, family: int) -> None:
    """The first one was."""
    sniffer = mesh.start_probe(server, "sniff", PORT, "12", "20")
    sink = mesh.start_probe(server, "sink", PORT, "20")
    mesh.probe("t/client-a", "pour", mesh.address(server, family), PORT, "0.3")
    seen = sniffer.wait()
    sink.wait()
    assert len({(packet["hops"], packet["to"]) for packet in seen}) == 1
    assert seen[0]["hops"] == (63 if server == "t/server-a" else 62)
    assert any(packet["length"] > 1514 for packet in seen)


@SERVERS
def test_a_firewall_closes_it_at_once_and_is_named(mesh: Cluster, server: str) -> None:
    """A connection that lives meanwhile goes on, by the other way; afterwards the path is open again."""
    sink = mesh.start_probe(server, "sink", PORT, "60")
    pouring = mesh.start_probe("t/client-a", "pour", mesh.address(server), PORT, "60")
    try:
        with firewall(mesh, "node-a"):
            eventually(
                lambda: warnings(mesh, "node-a"),
                lambda told: told == ["the fast path is closed: nftables chain ip firewall/rules (forward)"],
            )
            assert "the fast path is closed" in mesh.weft("status").out
            assert "fast path is closed" in mesh.weft("doctor").out
            was_routed, was_passed = routed(mesh), passed(mesh)
            time.sleep(1)
            assert routed(mesh) - was_routed > (passed(mesh) - was_passed) / 8
        eventually(lambda: warnings(mesh, "node-a"), lambda told: told == [])
        was_routed, was_passed = routed(mesh), passed(mesh)
        time.sleep(1)
        assert routed(mesh) - was_routed < (passed(mesh) - was_passed) / 8
    finally:
        sent = pouring.stop()
    assert sink.wait() == sent


def test_it_runs_out_when_the_agent_is_gone(mesh: Cluster) -> None:
    """Nobody would notice a new firewall then. (That a moment gone by closes it: tests/bpf/test_fastpath.py.)"""
    (row,) = mesh.json("map", "dump", "fast_path", "--node", "node-a")
    left = row["value"]["untilNs"] / 1e9 - time.clock_gettime(time.CLOCK_MONOTONIC)
    assert 5 < left <= 15
    (uplink,) = json.loads(inside(mesh, "node-a", "ip", "-json", "link", "show", "eth0"))
    assert row["value"]["uplinks"] == [uplink["ifindex"], 0, 0, 0]
