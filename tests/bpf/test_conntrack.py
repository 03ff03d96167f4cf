"""A flow's life in conntrack: opening, answers, the end, expiry, a new epoch, a full map."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from agent.datapath.tables import CtEntry, CtKey, EndpointFreed, EndpointSpent
from agent.shares import Held, held_by_pod
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
    bench.policy(layouts.POLICY_ALLOW, direction=EGRESS, protocol=TCP, port=80)
    assert bench.run("tc_from_pod", out(SYN)).passed
    return bench


@pytest.mark.parametrize("version", [4, 6])
def test_answers_pass_where_new_flows_do_not(bench: Bench, version: int) -> None:
    bench.policy(layouts.POLICY_ALLOW, direction=EGRESS, protocol=TCP, port=80)
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
    assert entry_of(opened)[1].expires_ns - time.clock_gettime_ns(time.CLOCK_MONOTONIC) <= 10 * 10**9
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
    bench.policy(layouts.POLICY_ALLOW, direction=EGRESS, protocol=TCP, port=80)
    assert bench.run("tc_from_pod", out(ACK | PSH)).passed
    denied = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2000, 81, ACK | PSH))
    assert bench.run("tc_from_pod", denied).reason == layouts.DROP_POLICY_DEFAULT
    for flags in (SYN | ACK, FIN | ACK, RST):
        stray = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2222, 80, flags))
        assert bench.run("tc_from_pod", stray).reason == layouts.DROP_CT_INVALID


class TestNewEpoch:
    def test_a_deny_ends_the_flow_from_either_side(self, opened: Bench) -> None:
        opened.run("tc_to_pod", back(SYN | ACK))
        opened.policy(layouts.POLICY_DENY, direction=EGRESS, protocol=TCP, port=80)
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
        opened.policy(layouts.POLICY_HTTP_ALLOW, direction=EGRESS, protocol=TCP, port=80)
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
    bench.policy(layouts.POLICY_HTTP_ALLOW, direction=INGRESS, protocol=TCP, port=80)
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


class TestShare:
    """flows_per_pod is 3 here. Whoever opens a flow pays; what comes from outside the node is its receiver's."""

    @pytest.fixture(autouse=True)
    def few(self, bench: Bench) -> None:
        bench.allow_all()
        bench.datapath.configure(programs.config(flows_per_pod=3))

    @staticmethod
    def to_world(port: int, flags: int = SYN) -> bytes:
        return programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(port, 80, flags))

    @staticmethod
    def from_world(port: int) -> bytes:
        return programs.frame(WORLD_ADDRESS[4], ADDRESS[4], UDP, programs.udp(port, 53))

    def fill(self, bench: Bench) -> None:
        assert [bench.run("tc_from_pod", self.to_world(port)).passed for port in (1, 2, 3)] == [True] * 3

    def test_a_pod_that_has_its_share_opens_no_more_and_keeps_what_lives(self, bench: Bench) -> None:
        self.fill(bench)
        seen = bench.run("tc_from_pod", self.to_world(4))
        assert (seen.reason, seen.events[-1].endpoint) == (layouts.DROP_CT_SHARE, POD)
        assert bench.datapath.counters()[layouts.DROP_CT_SHARE, EGRESS].packets >= 1
        assert bench.run("tc_from_pod", self.to_world(1, ACK)).passed
        assert bench.run("tc_from_pod", self.to_world(2)).passed  # a repeated SYN

    def test_others_go_on(self, bench: Bench) -> None:
        self.fill(bench)
        packet = programs.frame(PEER_ADDRESS[4], WORLD_ADDRESS[4], UDP, programs.udp(5, 6))
        assert bench.run("tc_from_pod", packet, ifindex=bench.peer_ifindex).passed

    def test_what_a_pod_receives_counts_apart_from_what_it_opens(self, bench: Bench) -> None:
        passed = [bench.run("tc_to_pod", self.from_world(port), came_in=99).passed for port in range(1, 6)]
        assert passed == [True, True, True, False, False]
        assert bench.run("tc_from_pod", self.to_world(1)).passed
        spent = bench.datapath.tables.spent.get(POD)
        assert spent is not None
        assert (spent.opened, spent.received) == (1, 3)

    def test_a_neighbours_flood_is_charged_to_the_neighbour(self, bench: Bench) -> None:
        def from_peer(port: int) -> bytes:
            return programs.frame(PEER_ADDRESS[4], ADDRESS[4], UDP, programs.udp(port, 53))

        came_in = bench.peer_ifindex
        passed = [bench.run("tc_to_pod", from_peer(port), came_in=came_in).passed for port in range(1, 6)]
        assert passed == [True, True, True, False, False]
        assert bench.run("tc_to_pod", self.from_world(1), came_in=99).passed
        assert bench.run("tc_from_pod", self.to_world(1)).passed

    def test_the_proxys_leg_is_charged_to_the_client(self, bench: Bench) -> None:
        packet = programs.frame(PEER_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(4000, 80))
        assert bench.run("tc_to_pod", packet, mark=programs.FROM_PROXY).passed
        spent = bench.datapath.tables.spent.get(programs.PEER)
        assert spent is not None
        assert spent.opened == 1

    def test_probes_of_the_node_are_nobodys(self, bench: Bench) -> None:
        def probe(port: int) -> bytes:
            return programs.frame(programs.NODE_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(port, 80))

        assert all(bench.run("tc_to_pod", probe(port)).passed for port in range(1, 9))

    def test_an_entry_that_is_there_is_opened_anew_without_room(self, bench: Bench) -> None:
        self.fill(bench)
        table = bench.datapath.tables.conntrack
        for key, entry in list(table.items()):
            table.put(key, replace(entry, flags=layouts.CT_RESET, expires_ns=entry.created_ns))
        assert bench.run("tc_from_pod", self.to_world(3)).passed
        assert bench.run("tc_from_pod", self.to_world(4)).reason == layouts.DROP_CT_SHARE
        spent = bench.datapath.tables.spent.get(POD)
        assert spent is not None
        assert spent.opened == 3

    def test_what_the_agent_gave_back_can_be_used_again(self, bench: Bench) -> None:
        self.fill(bench)
        bench.datapath.tables.freed.put(POD, EndpointFreed(opened=2))
        assert [bench.run("tc_from_pod", self.to_world(port)).passed for port in (4, 5, 6)] == [True, True, False]
        bench.datapath.tables.freed.put(
            POD, EndpointFreed(opened=9)
        )  # more than was ever taken: wrong, but not for ever
        assert bench.run("tc_from_pod", self.to_world(7)).passed

    def test_a_count_that_wraps_is_still_a_count(self, bench: Bench) -> None:
        bench.datapath.tables.spent.put(POD, EndpointSpent(opened=2**32 - 1))
        bench.datapath.tables.freed.put(POD, EndpointFreed(opened=2**32 - 1))
        self.fill(bench)
        assert bench.run("tc_from_pod", self.to_world(4)).reason == layouts.DROP_CT_SHARE

    def test_the_agents_recount_and_the_kernels_count_agree(self, bench: Bench) -> None:
        """Every way in which an entry is made is charged to the same pod by both."""
        bench.datapath.configure(programs.config())
        peer = programs.frame(PEER_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(7, 80))
        probe = programs.frame(programs.NODE_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(8, 80))
        bench.run("tc_from_pod", self.to_world(1))
        bench.run("tc_from_pod", peer, ifindex=bench.peer_ifindex)
        bench.run("tc_to_pod", peer, came_in=bench.peer_ifindex)
        bench.run(
            "tc_to_pod", programs.frame(PEER_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(9, 80)), mark=programs.FROM_PROXY
        )
        bench.run("tc_to_pod", self.from_world(1), came_in=99)
        bench.run("tc_to_pod", probe)
        tables = bench.datapath.tables
        owners = {ADDRESS[4]: POD, PEER_ADDRESS[4]: programs.PEER}
        held = held_by_pod(list(tables.conntrack.items()), owners)
        counted = {number: tables.spent.get(number) for number in (POD, programs.PEER)}
        assert {n: Held(opened=s.opened, received=s.received) for n, s in counted.items() if s is not None} == held
