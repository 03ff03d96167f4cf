"""Packets that nobody honest sends: denied with their reason, or inert. IPv6 as IPv4."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from mesh import layouts
from tests.bpf import programs
from tests.bpf.programs import (
    ACK,
    ADDRESS,
    FIN,
    ICMP,
    ICMPV6,
    PEER_ADDRESS,
    PSH,
    RST,
    SCTP,
    SYN,
    TCP,
    UDP,
    WORLD_ADDRESS,
    Bench,
    frame,
)

URG = 32
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60


@pytest.fixture
def opening(bench: Bench) -> Bench:
    """Everything that is well formed passes."""
    bench.allow_all()
    return bench


def sent(bench: Bench, packet: bytes) -> int:
    seen = bench.run("tc_from_pod", packet)
    assert seen.passed == (seen.reason == layouts.DROP_NONE)
    return seen.reason


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    "flags",
    [0, FIN, SYN | FIN, SYN | RST, FIN | PSH | URG, FIN | RST | ACK, PSH, URG, SYN | FIN | RST | PSH | ACK | URG],
)
def test_odd_flags(opening: Bench, version: int, flags: int) -> None:
    packet = frame(ADDRESS[version], WORLD_ADDRESS[version], TCP, programs.tcp(2000, 80, flags))
    assert sent(opening, packet) == layouts.DROP_MALFORMED


@pytest.mark.parametrize("version", [4, 6])
def test_short_and_contradictory_headers(opening: Bench, version: int) -> None:
    here, there = ADDRESS[version], WORLD_ADDRESS[version]
    whole = programs.tcp(2000, 80)
    bad = [
        frame(here, there, TCP, whole[:12]),
        frame(here, there, TCP, programs.tcp(2000, 80, offset=4)),
        frame(here, there, TCP, programs.tcp(2000, 80, offset=15)),
        frame(here, there, TCP, whole, total=2000),
        frame(here, there, TCP, whole, version=5),
        frame(here, there, UDP, b"\0\0\0"),
    ]
    if version == 4:
        bad += [frame(here, there, TCP, whole, ihl=4), frame(here, there, TCP, whole, ihl=15)]
        bad += [frame(here, there, TCP, whole, total=10)]
    for packet in bad:
        assert sent(opening, packet) == layouts.DROP_MALFORMED, packet.hex()


def test_neither_ip_nor_arp(opening: Bench) -> None:
    packet = bytes(12) + b"\x88\xcc" + bytes(60)
    assert sent(opening, packet) == layouts.DROP_UNKNOWN_PROTOCOL


@pytest.mark.parametrize("version", [4, 6])
def test_a_source_that_is_not_the_pods_own(opening: Bench, version: int) -> None:
    for source in (PEER_ADDRESS[version], programs.NODE_ADDRESS[version], WORLD_ADDRESS[version]):
        packet = frame(source, PEER_ADDRESS[version], TCP, programs.tcp(2000, 80))
        assert sent(opening, packet) == layouts.DROP_SPOOFED_SOURCE


@pytest.mark.parametrize("version", [4, 6])
def test_the_network_cannot_claim_addresses_of_this_node(opening: Bench, version: int) -> None:
    for source in (PEER_ADDRESS[version], programs.NODE_ADDRESS[version]):
        packet = frame(source, ADDRESS[version], TCP, programs.tcp(2000, 80))
        seen = opening.run("tc_from_net", packet)
        assert (seen.passed, seen.reason) == (False, layouts.DROP_SPOOFED_FROM_NET)


def test_loopback_and_mapped_addresses_on_the_wire(opening: Bench) -> None:
    for target in ("127.0.0.1", "127.1.2.3"):
        packet = frame(ADDRESS[4], ip_address(target), TCP, programs.tcp(2000, 15001))
        assert sent(opening, packet) == layouts.DROP_MALFORMED
    for target in ("::1", "::ffff:10.1.0.3", "::ffff:127.0.0.1"):
        packet = frame(ADDRESS[6], ip_address(target), TCP, programs.tcp(2000, 80))
        assert sent(opening, packet) == layouts.DROP_MALFORMED


def test_a_pods_mark_means_nothing(bench: Bench) -> None:
    bench.allow_all()
    packet = frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2000, 80))
    for mark in (programs.TO_PROXY, programs.FROM_PROXY, 0xDEAD0000):
        run = bench.raw("tc_from_pod", packet, mark=mark)
        assert struct.unpack_from("=I", run.context, 8)[0] == 0


class TestExtensionHeaders:
    def chain(self, *kinds: int, last: int = TCP) -> bytes:
        payload = b""
        for following in (*kinds[1:], last):
            payload += bytes([following, 0]) + bytes(6)
        return frame(ADDRESS[6], WORLD_ADDRESS[6], kinds[0], payload + programs.tcp(2000, 80))

    def test_a_few_are_walked(self, opening: Bench) -> None:
        assert sent(opening, self.chain(HOP_BY_HOP, DESTINATION, DESTINATION)) == layouts.DROP_NONE

    def test_they_hide_no_denied_port(self, bench: Bench) -> None:
        bench.policy(layouts.POLICY_ALLOW, direction=layouts.DIR_EGRESS, protocol=TCP, port=443)
        assert sent(bench, self.chain(HOP_BY_HOP, DESTINATION)) == layouts.DROP_POLICY_DEFAULT

    def test_too_many_and_routing_are_refused(self, opening: Bench) -> None:
        assert sent(opening, self.chain(*[DESTINATION] * 6)) == layouts.DROP_NONE
        assert sent(opening, self.chain(*[DESTINATION] * 7)) == layouts.DROP_EXTENSION_HEADER
        assert sent(opening, self.chain(ROUTING)) == layouts.DROP_EXTENSION_HEADER

    def test_a_chain_that_runs_out_of_the_packet(self, opening: Bench) -> None:
        packet = frame(ADDRESS[6], WORLD_ADDRESS[6], DESTINATION, bytes([TCP, 200]) + bytes(6))
        assert sent(opening, packet) == layouts.DROP_MALFORMED


class TestFragments:
    def first(self, version: int, payload: bytes, protocol: int = UDP, ident: int = 7) -> bytes:
        return self.piece(version, payload, protocol, 0, more=True, ident=ident)

    def later(self, version: int, protocol: int = UDP, *, ident: int = 7, at: int = 8) -> bytes:
        return self.piece(version, b"x" * 32, protocol, at, more=False, ident=ident)

    def piece(self, version: int, payload: bytes, protocol: int, at: int, *, more: bool, ident: int) -> bytes:
        here, there = ADDRESS[version], WORLD_ADDRESS[version]
        if version == 4:
            return frame(here, there, protocol, payload, fragment=at | (0x2000 if more else 0), ident=ident)
        head = struct.pack(">BBHI", protocol, 0, at << 3 | more, ident)
        return frame(here, there, FRAGMENT, head + payload)

    @pytest.mark.parametrize("version", [4, 6])
    def test_later_ones_follow_the_first(self, bench: Bench, version: int) -> None:
        bench.policy(layouts.POLICY_ALLOW, direction=layouts.DIR_EGRESS, protocol=UDP, port=53)
        assert sent(bench, self.later(version)) == layouts.DROP_FRAGMENT_UNKNOWN
        assert sent(bench, self.first(version, programs.udp(2000, 54))) == layouts.DROP_POLICY_DEFAULT
        assert sent(bench, self.later(version)) == layouts.DROP_FRAGMENT_UNKNOWN
        assert sent(bench, self.first(version, programs.udp(2000, 53))) == layouts.DROP_NONE
        assert sent(bench, self.later(version)) == layouts.DROP_NONE
        assert sent(bench, self.later(version, ident=8)) == layouts.DROP_FRAGMENT_UNKNOWN

    @pytest.mark.parametrize("version", [4, 6])
    def test_tiny_ones_that_hide_ports_or_flags(self, opening: Bench, version: int) -> None:
        assert sent(opening, self.first(version, programs.tcp(1, 2)[:8], TCP)) == layouts.DROP_FRAGMENT_TINY
        assert sent(opening, self.later(version, TCP, at=1)) == layouts.DROP_FRAGMENT_TINY

    @pytest.mark.parametrize("version", [4, 6])
    def test_none_of_a_flow_that_the_proxy_must_see(self, bench: Bench, version: int) -> None:
        bench.policy(layouts.POLICY_HTTP_ALLOW, direction=layouts.DIR_EGRESS)
        assert sent(bench, self.first(version, programs.tcp(2000, 80), TCP)) == layouts.DROP_FRAGMENT_PROXIED


class TestIcmp:
    @pytest.mark.parametrize("version", [4, 6])
    def test_echo_is_a_flow_and_a_stray_reply_is_not(self, bench: Bench, version: int) -> None:
        protocol, ask, answer = (ICMP, 8, 0) if version == 4 else (ICMPV6, 128, 129)
        bench.policy(layouts.POLICY_ALLOW, direction=layouts.DIR_EGRESS, protocol=protocol)
        here, there = ADDRESS[version], WORLD_ADDRESS[version]
        reply = frame(there, here, protocol, programs.echo(answer, 77))
        assert bench.run("tc_to_pod", reply).reason == layouts.DROP_CT_INVALID
        assert sent(bench, frame(here, there, protocol, programs.echo(ask, 77))) == layouts.DROP_NONE
        assert bench.run("tc_to_pod", reply).passed
        other = frame(there, here, protocol, programs.echo(answer, 78))
        assert bench.run("tc_to_pod", other).reason == layouts.DROP_CT_INVALID

    @pytest.mark.parametrize("version", [4, 6])
    def test_errors_pass_for_known_flows_alone(self, bench: Bench, version: int) -> None:
        bench.policy(layouts.POLICY_ALLOW, direction=layouts.DIR_EGRESS, protocol=UDP, port=53)
        here, there = ADDRESS[version], WORLD_ADDRESS[version]
        question = frame(here, there, UDP, programs.udp(2000, 53))
        kind = struct.pack(">BBHI", *((3, 4, 0, 1400) if version == 4 else (2, 0, 0, 1400)))
        error = frame(there, here, ICMP if version == 4 else ICMPV6, kind + question[14:])
        assert bench.run("tc_to_pod", error).reason == layouts.DROP_CT_INVALID
        assert sent(bench, question) == layouts.DROP_NONE
        assert bench.run("tc_to_pod", error).passed

    @pytest.mark.parametrize("version", [4, 6])
    def test_redirects_steer_nobody(self, opening: Bench, version: int) -> None:
        payload = struct.pack(">BBHI", 5 if version == 4 else 137, 1, 0, 0) + bytes(40)
        protocol = ICMP if version == 4 else ICMPV6
        packet = frame(WORLD_ADDRESS[version], ADDRESS[version], protocol, payload, hops=255)
        assert opening.run("tc_to_pod", packet).reason == layouts.DROP_MALFORMED

    def test_neighbour_discovery_passes_unless_it_was_forwarded(self, bench: Bench) -> None:
        solicit = struct.pack(">BBHI", 135, 0, 0, 0) + WORLD_ADDRESS[6].packed
        link = ip_address("fe80::1")
        group = ip_address("ff02::1:ff00:1")
        assert sent(bench, frame(link, group, ICMPV6, solicit, hops=255)) == layouts.DROP_NONE
        assert sent(bench, frame(link, group, ICMPV6, solicit, hops=254)) == layouts.DROP_MALFORMED


@pytest.mark.parametrize("version", [4, 6])
def test_sctp_is_decided_by_its_ports(bench: Bench, version: int) -> None:
    bench.policy(layouts.POLICY_ALLOW, direction=layouts.DIR_EGRESS, protocol=SCTP, port=5000)
    here, there = ADDRESS[version], WORLD_ADDRESS[version]
    assert sent(bench, frame(here, there, SCTP, programs.sctp(2000, 5000))) == layouts.DROP_NONE
    assert sent(bench, frame(here, there, SCTP, programs.sctp(2000, 5001))) == layouts.DROP_POLICY_DEFAULT


@pytest.mark.parametrize("version", [4, 6])
def test_other_protocols_need_a_rule_for_everything(bench: Bench, version: int) -> None:
    packet = frame(ADDRESS[version], WORLD_ADDRESS[version], 47, bytes(20))
    bench.policy(layouts.POLICY_ALLOW, direction=layouts.DIR_EGRESS, protocol=TCP)
    assert sent(bench, packet) == layouts.DROP_POLICY_DEFAULT
    bench.policy(layouts.POLICY_ALLOW, direction=layouts.DIR_EGRESS)
    assert sent(bench, packet) == layouts.DROP_NONE


def test_nothing_passes_before_the_node_is_configured(opening: Bench) -> None:
    opening.datapath.configure(programs.config(mark_own_answer=0))
    for program in ("tc_from_pod", "tc_to_pod", "tc_from_net"):
        packet = frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2000, 80))
        assert opening.raw(program, packet).retval == programs.TC_SHOT
