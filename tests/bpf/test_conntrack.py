"""A flow's life in conntrack: opening, answers, the end, expiry, a new epoch, a full map."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.datapath.tables import CtEntry, CtKey
from mesh import layouts
from tests.bpf import programs
from tests.bpf.programs import (
    ACK,
    ADDRESS,
    FIN,
    PEER_ADDRESS,
    PEER_IDENTITY,
    POD,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    WORLD_ADDRESS,
    Bench,
)

EGRESS, INGRESS = layouts.DIR_EGRESS, layouts.DIR_INGRESS


def out(flags: int, version: int = 4) -> bytes:
    return programs.frame(ADDRESS[version], WORLD_ADDRESS[version], TCP, programs.tcp(2000, 80, flags))


def back(flags: int, version: int = 4) -> bytes:
    return programs.frame(WORLD_ADDRESS[version], ADDRESS[version], TCP, programs.tcp(80, 2000, flags))


def entry_of(bench: Bench) -> tuple[CtKey, CtEntry]:
    (found,) = list(bench.datapath.tables.conntrack.items())
    return found


@pytest.fixture
def opened(bench: Bench) -> Bench:
    """Egress to port 80 is allowed, ingress is closed, and a connection is being opened."""
    bench.policy(layouts.POLICY_ALLOW, direction=EGRESS, protocol=TCP, port=80, bits=16)
    assert bench.run("tc_from_pod", out(SYN)).passed
    return bench


@pytest.mark.parametrize("version", [4, 6])
def test_answers_pass_where_new_flows_do_not(bench: Bench, version: int) -> None:
    bench.policy(layouts.POLICY_ALLOW, direction=EGRESS, protocol=TCP, port=80, bits=16)
    assert not bench.run("tc_to_pod", back(SYN | ACK, version)).passed
    assert bench.run("tc_from_pod", out(SYN, version)).passed
    assert bench.run("tc_to_pod", back(SYN | ACK, version)).passed
    assert bench.run("tc_from_pod", out(ACK | PSH, version)).passed
    assert not bench.run("tc_to_pod", back(SYN, version)).passed  # a SYN always asks policy


def test_an_allowed_flow_is_recorded_once(bench: Bench) -> None:
    bench.allow_all()
    packets = [out(SYN), out(SYN), out(ACK), out(ACK | PSH)]
    events = [event for packet in packets for event in bench.run("tc_from_pod", packet).events]
    assert [event.verdict for event in events] == [layouts.VERDICT_ALLOW]


def test_life_times_follow_the_state(opened: Bench) -> None:
    def life() -> float:
        _, entry = entry_of(opened)
        return (entry.expires_ns - entry.created_ns) / 1e9

    assert 55 < life() < 65
    opened.run("tc_to_pod", back(SYN | ACK))
    assert life() > 3500
    opened.run("tc_from_pod", out(FIN | ACK))
    assert life() > 3500  # half closed: the other half may go on for hours
    opened.run("tc_to_pod", back(FIN | ACK))
    assert life() < 15
    key, entry = entry_of(opened)
    assert key.endpoint == POD
    assert entry.flags == layouts.CT_SEEN_REPLY | layouts.CT_FIN_FORWARD | layouts.CT_FIN_REPLY
    assert entry.packets == 4


def test_a_reset_closes(opened: Bench) -> None:
    assert opened.run("tc_to_pod", back(RST | ACK)).passed
    assert entry_of(opened)[1].flags & layouts.CT_RESET


def test_an_expired_entry_is_a_miss(opened: Bench) -> None:
    key, entry = entry_of(opened)
    opened.datapath.tables.conntrack.put(key, replace(entry, expires_ns=entry.created_ns))
    seen = opened.run("tc_to_pod", back(SYN | ACK))
    assert (seen.passed, seen.reason) == (False, layouts.DROP_CT_INVALID)


def test_a_running_connection_that_was_never_seen_asks_policy(bench: Bench) -> None:
    bench.policy(layouts.POLICY_ALLOW, direction=EGRESS, protocol=TCP, port=80, bits=16)
    assert bench.run("tc_from_pod", out(ACK | PSH)).passed
    denied = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2000, 81, ACK | PSH))
    assert bench.run("tc_from_pod", denied).reason == layouts.DROP_POLICY_DEFAULT
    for flags in (SYN | ACK, FIN | ACK, RST):
        stray = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2222, 80, flags))
        assert bench.run("tc_from_pod", stray).reason == layouts.DROP_CT_INVALID


class TestNewEpoch:
    def test_a_deny_ends_the_flow_from_either_side(self, opened: Bench) -> None:
        opened.run("tc_to_pod", back(SYN | ACK))
        opened.policy(layouts.POLICY_DENY, direction=EGRESS, protocol=TCP, port=80, bits=16)
        assert opened.run("tc_from_pod", out(ACK)).passed  # nobody told the endpoint yet
        opened.endpoint(epoch=2)
        seen = opened.run("tc_to_pod", back(ACK | PSH))
        assert seen.reason == layouts.DROP_POLICY_CHANGED
        assert seen.events[-1].flags & layouts.EVENT_REPLY_RESET
        assert seen.events[-1].direction == EGRESS  # the flow's own direction, not the packet's
        assert list(opened.datapath.tables.conntrack.items()) == []

    def test_an_allow_refreshes_the_entry(self, opened: Bench) -> None:
        opened.endpoint(epoch=5)
        assert opened.run("tc_from_pod", out(ACK)).passed
        assert entry_of(opened)[1].epoch == 5

    def test_a_direct_flow_that_needs_the_proxy_now_is_reset(self, opened: Bench) -> None:
        opened.policy(layouts.POLICY_HTTP_ALLOW, direction=EGRESS, protocol=TCP, port=80, bits=16)
        opened.endpoint(epoch=2)
        assert opened.run("tc_from_pod", out(ACK)).reason == layouts.DROP_NEEDS_PROXY_NOW

    def test_a_proxied_flow_stays_proxied(self, opened: Bench) -> None:
        key, entry = entry_of(opened)
        opened.datapath.tables.conntrack.put(key, replace(entry, flags=layouts.CT_PROXIED))
        opened.endpoint(epoch=2)
        assert opened.run("tc_from_pod", out(ACK)).reason == layouts.DROP_PROXY_MISSING  # handed over, not past it
        assert entry_of(opened)[1].epoch == 2

    def test_a_peer_that_is_not_known_yet_ends_nothing(self, opened: Bench) -> None:
        opened.endpoint(epoch=2)
        programs.cached(opened, WORLD_ADDRESS[4], layouts.IDENTITY_UNKNOWN)
        try:
            assert opened.run("tc_from_pod", out(ACK)).reason == layouts.DROP_UNKNOWN_PEER
        finally:
            programs.cached(opened, WORLD_ADDRESS[4], layouts.IDENTITY_WORLD)
        assert opened.run("tc_from_pod", out(ACK)).passed


def test_one_flow_between_two_pods_has_an_entry_at_each(bench: Bench) -> None:
    bench.allow_all()
    packet = programs.frame(PEER_ADDRESS[4], ADDRESS[4], UDP, programs.udp(500, 600))
    assert bench.run("tc_from_pod", packet, ifindex=bench.peer_ifindex).passed
    assert bench.run("tc_to_pod", packet).passed
    keys = {(key.endpoint, key.direction) for key, _ in bench.datapath.tables.conntrack.items()}
    assert keys == {(programs.PEER, EGRESS), (POD, INGRESS)}


def test_the_proxys_own_leg_is_known_by_its_mark(bench: Bench) -> None:
    bench.policy(layouts.POLICY_HTTP_ALLOW, direction=INGRESS, protocol=TCP, port=80, bits=16)
    packet = programs.frame(PEER_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(4000, 80))
    assert bench.run("tc_to_pod", packet).reason == layouts.DROP_PROXY_BYPASS
    assert bench.run("tc_to_pod", packet, mark=programs.FROM_PROXY).passed
    _, entry = entry_of(bench)
    assert (entry.flags, entry.peer_identity) == (layouts.CT_PROXIED | layouts.CT_UPSTREAM, PEER_IDENTITY)
    answer = programs.frame(ADDRESS[4], PEER_ADDRESS[4], TCP, programs.tcp(80, 4000, SYN | ACK))
    assert bench.run("tc_from_pod", answer).reason == layouts.DROP_PROXY_MISSING  # to the proxy or nowhere


def test_the_mark_does_not_open_what_layer_four_denies(bench: Bench) -> None:
    bench.policy(layouts.POLICY_DENY, direction=INGRESS)
    packet = programs.frame(PEER_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(4000, 80))
    assert bench.run("tc_to_pod", packet, mark=programs.FROM_PROXY).reason == layouts.DROP_POLICY_DENY


def test_a_full_map_denies_new_flows_and_keeps_established_ones(bench: Bench) -> None:
    bench.allow_all()
    assert bench.run("tc_from_pod", out(SYN)).passed
    table = bench.datapath.tables.conntrack
    key, entry = entry_of(bench)
    room = table.max_entries - 1
    filler = {
        replace(key, sport=number % 65536, dport=1 + number // 65536, endpoint=99): entry for number in range(room)
    }
    table.put_many(filler)
    new = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2001, 80))
    assert bench.run("tc_from_pod", new).reason == layouts.DROP_CT_FULL
    assert bench.run("tc_from_pod", out(ACK)).passed
    table.delete_many(list(filler))
    assert bench.run("tc_from_pod", new).passed
