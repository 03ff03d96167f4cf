"""What a denied packet's sender gets: a reset or an ICMP error with right numbers and right checksums."""

from __future__ import annotations

import struct
import time

import pytest

from mesh import layouts
from tests.bpf import programs
from tests.bpf.programs import ACK, ADDRESS, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, UDP, WORLD_ADDRESS, Bench

HEAD = {4: 34, 6: 54}


def pseudo(version: int, protocol: int, length: int) -> bytes:
    """Of the answer: from the world's address to the pod's."""
    ends = WORLD_ADDRESS[version].packed + ADDRESS[version].packed
    return ends + (struct.pack(">BBH", 0, protocol, length) if version == 4 else struct.pack(">II", length, protocol))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("flags", "payload", "seq", "ack", "answer"),
    [
        (SYN, 0, 0, 1001, RST | ACK),
        (SYN, 10, 0, 1011, RST | ACK),
        (PSH | ACK, 100, 5555, 0, RST),
        (FIN | ACK, 0, 5555, 0, RST),
    ],
)
def test_a_reset_is_what_rfc_9293_asks_for(
    bench: Bench, version: int, flags: int, payload: int, seq: int, ack: int, answer: int
) -> None:
    segment = programs.tcp(2000, 80, flags, ack=5555 if flags & ACK else 0) + bytes(payload)
    packet = programs.frame(ADDRESS[version], WORLD_ADDRESS[version], TCP, segment)
    seen = bench.run("tc_from_pod", packet)
    assert seen.action == programs.TC_REDIRECT
    raw = seen.packet
    assert len(raw) == HEAD[version] + 20
    assert (raw[0:6], raw[6:12]) == (packet[6:12], packet[0:6])
    sport, dport, got_seq, got_ack, offset, got_flags = struct.unpack_from(">HHIIBB", raw, HEAD[version])
    assert (sport, dport, got_seq, got_ack, offset, got_flags) == (80, 2000, seq, ack, 0x50, answer)
    assert programs.checksum(pseudo(version, TCP, 20) + raw[HEAD[version] :]) == 0
    if version == 4:
        assert programs.checksum(raw[14:34]) == 0
        assert (raw[26:30], raw[30:34]) == (WORLD_ADDRESS[4].packed, ADDRESS[4].packed)


@pytest.mark.parametrize("version", [4, 6])
def test_denied_udp_is_told_that_it_is_prohibited(bench: Bench, version: int) -> None:
    packet = programs.frame(ADDRESS[version], WORLD_ADDRESS[version], UDP, programs.udp(2000, 53, b"question"))
    seen = bench.run("tc_from_pod", packet)
    assert seen.action == programs.TC_REDIRECT
    raw, start = seen.packet, HEAD[version]
    assert (raw[start], raw[start + 1]) == ((3, 13) if version == 4 else (1, 1))
    assert raw[start + 8 :] == packet[14 : start + 8]  # the header and eight bytes of what was denied
    length = len(raw) - start
    before = b"" if version == 4 else pseudo(6, ICMPV6, length)
    assert programs.checksum(before + raw[start:]) == 0
    if version == 4:
        assert raw[23] == ICMP
        assert programs.checksum(raw[14:34]) == 0


def test_icmp_errors_are_rationed(bench: Bench) -> None:
    bench.datapath.configure(programs.config(icmp_per_second=3))
    packet = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], UDP, programs.udp(2000, 53))
    before = bench.datapath.gauges()
    began = time.monotonic()
    actions = [bench.run("tc_from_pod", packet).action for _ in range(20)]
    seconds = time.monotonic() - began
    after = bench.datapath.gauges()
    assert actions.count(programs.TC_REDIRECT) <= 3 * (seconds + 1) + 1
    assert after["icmp_suppressed"] - before["icmp_suppressed"] == actions.count(programs.TC_SHOT)


def test_silence_can_be_asked_for(bench: Bench) -> None:
    bench.datapath.configure(programs.config(flags=layouts.CONFIG_PROXY_UP | layouts.CONFIG_DROP_SILENTLY))
    for protocol, payload in ((TCP, programs.tcp(2000, 80)), (UDP, programs.udp(2000, 80))):
        packet = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], protocol, payload)
        seen = bench.run("tc_from_pod", packet)
        assert (seen.action, seen.reason) == (programs.TC_SHOT, layouts.DROP_POLICY_DEFAULT)


def test_a_reset_is_never_answered(bench: Bench) -> None:
    packet = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2000, 80, RST))
    assert bench.run("tc_from_pod", packet).action == programs.TC_SHOT


def test_our_own_answers_pass_both_ways(bench: Bench) -> None:
    packet = programs.frame(WORLD_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(80, 2000, RST))
    seen = bench.run("tc_to_pod", packet, mark=programs.OWN_ANSWER)
    assert (seen.passed, seen.events) == (True, ())


def test_proxy_declared_down_is_its_own_reason(bench: Bench) -> None:
    bench.datapath.configure(programs.config(flags=0))
    bench.policy(layouts.POLICY_HTTP_ALLOW, direction=layouts.DIR_EGRESS)
    packet = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2000, 80))
    seen = bench.run("tc_from_pod", packet)
    assert (seen.reason, seen.action) == (layouts.DROP_PROXY_DOWN, programs.TC_REDIRECT)


def test_drops_are_counted_by_reason_and_direction(bench: Bench) -> None:
    key = (layouts.DROP_POLICY_DEFAULT, layouts.DIR_EGRESS)
    before = bench.datapath.counters().get(key)
    packet = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], UDP, programs.udp(2000, 53))
    bench.run("tc_from_pod", packet)
    after = bench.datapath.counters()[key]
    assert after.packets == (before.packets if before else 0) + 1
    assert after.bytes == (before.bytes if before else 0) + len(packet)
