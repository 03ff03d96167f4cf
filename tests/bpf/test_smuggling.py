"""What travels beside policy must not carry anything past it: neighbour discovery, ICMP errors, borrowed addresses.

A hostile pod is root in its own namespace and writes any packet that it likes.
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, ip_address

import pytest

from mesh import layouts
from mesh.model import Address
from tests.bpf import programs
from tests.bpf.programs import (
    ACK,
    ADDRESS,
    ICMP,
    ICMPV6,
    NODE_ADDRESS,
    PEER_ADDRESS,
    PEER_IDENTITY,
    TCP,
    UDP,
    WORLD_ADDRESS,
    Bench,
    frame,
)

EGRESS, INGRESS = layouts.DIR_EGRESS, layouts.DIR_INGRESS
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, SOLICITATION, ADVERTISEMENT = 133, 134, 135, 136
LINK_LOCAL, ALL_NODES, ALL_ROUTERS = ip_address("fe80::5"), ip_address("ff02::1"), ip_address("ff02::2")
UNSPECIFIED = ip_address("::")


def discovery(kind: int, source: Address, destination: Address) -> bytes:
    return frame(source, destination, ICMPV6, struct.pack(">BBHI", kind, 0, 0, 0) + bytes(16), hops=255)


def error(source: Address, destination: Address, inner_source: Address, inner_destination: Address) -> bytes:
    """Port unreachable, about a datagram from port 2000 to port 53."""
    quoted = frame(inner_source, inner_destination, UDP, programs.udp(2000, 53))[14:]
    kind = (ICMP, 3, 3) if source.version == 4 else (ICMPV6, 1, 4)
    return frame(source, destination, kind[0], struct.pack(">BBHI", kind[1], kind[2], 0, 0) + quoted)


class TestNeighbourDiscovery:
    @pytest.mark.parametrize("kind", [ROUTER_SOLICITATION, SOLICITATION, ADVERTISEMENT])
    @pytest.mark.parametrize("there", [WORLD_ADDRESS[6], PEER_ADDRESS[6]])
    def test_it_ends_at_the_node(self, bench: Bench, kind: int, there: IPv6Address) -> None:
        """A router forwards it like anything else; what the pod may not reach it may not reach with this either."""
        seen = bench.run("tc_from_pod", discovery(kind, ADDRESS[6], there))
        assert (seen.passed, seen.reason) == (False, layouts.DROP_MALFORMED)

    @pytest.mark.parametrize("kind", [ROUTER_SOLICITATION, SOLICITATION, ADVERTISEMENT])
    def test_nobody_speaks_for_another(self, bench: Bench, kind: int) -> None:
        for source in (PEER_ADDRESS[6], WORLD_ADDRESS[6], NODE_ADDRESS[6]):
            seen = bench.run("tc_from_pod", discovery(kind, source, ALL_NODES))
            assert (seen.passed, seen.reason) == (False, layouts.DROP_SPOOFED_SOURCE)

    def test_a_pod_is_no_router(self, bench: Bench) -> None:
        for there in (ALL_NODES, NODE_ADDRESS[6]):
            seen = bench.run("tc_from_pod", discovery(ROUTER_ADVERTISEMENT, LINK_LOCAL, there))
            assert (seen.passed, seen.reason) == (False, layouts.DROP_MALFORMED)

    @pytest.mark.parametrize(
        ("kind", "source", "there"),
        [
            (SOLICITATION, UNSPECIFIED, ip_address("ff02::1:ff00:2")),  # is my address taken?
            (SOLICITATION, LINK_LOCAL, ip_address("ff02::1:ff00:1")),
            (SOLICITATION, ADDRESS[6], ip_address("fe80::1")),
            (ADVERTISEMENT, ADDRESS[6], NODE_ADDRESS[6]),
            (ADVERTISEMENT, LINK_LOCAL, ALL_NODES),
            (ROUTER_SOLICITATION, LINK_LOCAL, ALL_ROUTERS),
        ],
    )
    def test_what_a_pod_and_its_node_need(self, bench: Bench, kind: int, source: Address, there: Address) -> None:
        assert bench.run("tc_from_pod", discovery(kind, source, there)).passed


class TestErrors:
    @pytest.fixture
    def asked(self, bench: Bench) -> Bench:
        """The pod may ask the peer's port 53 and has done so; nothing else."""
        bench.policy(layouts.POLICY_ALLOW, direction=EGRESS, identity=PEER_IDENTITY, protocol=UDP, port=53)
        for version in (4, 6):
            packet = frame(ADDRESS[version], PEER_ADDRESS[version], UDP, programs.udp(2000, 53))
            assert bench.run("tc_from_pod", packet).passed
        return bench

    @pytest.mark.parametrize("version", [4, 6])
    def test_they_go_to_the_one_who_sent_what_they_quote(self, asked: Bench, version: int) -> None:
        """Else any allowed flow would be a way to everywhere, with whatever the quotation holds."""
        here, peer, world = ADDRESS[version], PEER_ADDRESS[version], WORLD_ADDRESS[version]
        for packet in (error(here, world, peer, here), error(here, world, here, peer)):
            seen = asked.run("tc_from_pod", packet)
            assert (seen.passed, seen.reason) == (False, layouts.DROP_MALFORMED)
        assert asked.run("tc_to_pod", error(peer, here, here, peer)).passed
        assert not asked.run("tc_to_pod", error(peer, here, peer, here)).passed


class TestBorrowedAddresses:
    """Pods that are not enrolled, and interfaces that are no uplink, pass no program before the pod's own."""

    @pytest.fixture
    def for_peers(self, bench: Bench) -> Bench:
        bench.policy(layouts.POLICY_ALLOW, direction=INGRESS, identity=PEER_IDENTITY)
        return bench

    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("elsewhere", [1, 999])
    def test_a_pods_address_counts_on_its_own_interface_alone(
        self, for_peers: Bench, version: int, elsewhere: int
    ) -> None:
        packet = frame(PEER_ADDRESS[version], ADDRESS[version], TCP, programs.tcp(2000, 80))
        assert for_peers.run("tc_to_pod", packet, came_in=for_peers.peer_ifindex).passed
        seen = for_peers.run("tc_to_pod", packet, came_in=elsewhere)
        assert (seen.passed, seen.reason) == (False, layouts.DROP_SPOOFED_SOURCE)

    @pytest.mark.parametrize("version", [4, 6])
    def test_the_node_speaks_from_within(self, bench: Bench, version: int) -> None:
        for packet in (
            frame(NODE_ADDRESS[version], ADDRESS[version], TCP, programs.tcp(2000, 80)),
            frame(NODE_ADDRESS[version], ADDRESS[version], TCP, programs.tcp(2001, 80, ACK)),
            frame(NODE_ADDRESS[version], ADDRESS[version], UDP, programs.udp(2000, 80)),
        ):
            seen = bench.run("tc_to_pod", packet, came_in=bench.peer_ifindex)
            assert (seen.passed, seen.reason) == (False, layouts.DROP_SPOOFED_SOURCE)
            assert bench.run("tc_to_pod", packet).passed
