"""The fast path on real nodes: it is in use, carries everything whole, and closes when something would be missed."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.cluster import Cluster
from tests.support.lanes import CLOSED, firewall, inside, warnings
from tests.support.waiting import eventually

NODES = ("node-a", "node-b")
SERVERS = pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
PORT = "7050"
LONGEST = "300"
MUCH, LITTLE = 200_000_000, 20_000_000
"""Bytes: of 64 KiB at most in a packet."""


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


@pytest.mark.parametrize("family", [4, 6])
@SERVERS
def test_a_stream_is_carried_whole_and_is_not_routed(mesh: Cluster, server: str, family: int) -> None:
    """Large segments (GSO) with checksums that the sender left to the interface."""
    sink = mesh.start_probe(server, "sink", PORT, LONGEST)
    was_passed, was_routed = passed(mesh), routed(mesh)
    sent = mesh.probe("t/client-a", "pour", mesh.address(server, family), PORT, LONGEST, str(MUCH))
    assert sink.wait() == sent
    now_routed, packets = routed(mesh), passed(mesh) - was_passed
    assert packets > MUCH / (1 << 16)
    assert now_routed - was_routed < packets / 10


@pytest.mark.parametrize("family", [4, 6])
@SERVERS
def test_packets_look_as_if_they_had_been_routed(mesh: Cluster, server: str, family: int) -> None:
    """The first one was."""
    sniffer = mesh.start_probe(server, "sniff", PORT, "12", LONGEST)
    sink = mesh.start_probe(server, "sink", PORT, LONGEST)
    mesh.probe("t/client-a", "pour", mesh.address(server, family), PORT, LONGEST, str(LITTLE))
    seen = sniffer.wait()
    sink.wait()
    assert len({(packet["hops"], packet["to"]) for packet in seen}) == 1
    assert seen[0]["hops"] == (63 if server == "t/server-a" else 62)
    assert any(packet["length"] > 1514 for packet in seen)


@SERVERS
def test_a_firewall_closes_it_at_once_and_is_named(mesh: Cluster, server: str) -> None:
    """A connection that lives meanwhile goes on, by the other way; afterwards the path is open again."""
    sink = mesh.start_probe(server, "sink", PORT, LONGEST)
    pouring = mesh.start_probe("t/client-a", "pour", mesh.address(server), PORT, LONGEST)
    try:
        with firewall(mesh, "node-a"):
            told = [text for text in warnings(mesh, "node-a") if CLOSED in text]
            assert told == ["the fast path is closed: nftables chain ip firewall/rules (forward)"]
            assert "the fast path is closed" in mesh.weft("status").out
            assert "fast path is closed" in mesh.weft("doctor").out
            # Counted around those that passed: what is routed while the counters are read is theirs as well.
            was_routed, was_passed = routed(mesh), passed(mesh)
            packets = many_more(mesh, was_passed)
            assert routed(mesh) - was_routed > packets / 8
        # And here within them.
        was_passed, was_routed = passed(mesh), routed(mesh)
        many_more(mesh, was_passed)
        now_routed = routed(mesh)
        assert now_routed - was_routed < (passed(mesh) - was_passed) / 8
    finally:
        sent = pouring.stop()
    assert sink.wait() == sent


def many_more(mesh: Cluster, passed_before: float) -> float:
    """Waits until so many have passed that a few others among them do not count."""
    return eventually(lambda: passed(mesh) - passed_before, lambda packets: packets > 10_000)


def test_it_runs_out_when_the_agent_is_gone(mesh: Cluster) -> None:
    """Nobody would notice a new firewall then. (That a moment gone by closes it: tests/bpf/test_fastpath.py.)"""
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    (row,) = mesh.json("map", "dump", "fast_path", "--node", "node-a")
    until = row["value"]["untilNs"] / 1e9
    assert before < until <= time.clock_gettime(time.CLOCK_MONOTONIC) + 15
    (uplink,) = json.loads(inside(mesh, "node-a", "ip", "-json", "link", "show", "eth0"))
    assert row["value"]["uplinks"] == [uplink["ifindex"], 0, 0, 0]
