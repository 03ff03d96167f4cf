"""Records of decisions under a flood: one pod's push out none of another's, and none are lost without being counted.

Nobody reads the ring while packets run, so it fills up as under a reader that is too slow.
"""

from __future__ import annotations

import time
from collections import Counter

import pytest

from agent.datapath.tables import FlowEvent
from mesh import layouts
from mesh.model import Address
from tests.bpf import programs
from tests.bpf.programs import ADDRESS, PEER, PEER_ADDRESS, POD, TCP, UDP, WORLD_ADDRESS, Bench

EGRESS, INGRESS = layouts.DIR_EGRESS, layouts.DIR_INGRESS
ROOM = 2097152 // 96
"""Records that the ring holds: 88 bytes and a header of eight each."""
FLOOD = 60_000
DENIALS_PER_SECOND, ALLOWS_PER_SECOND = 1000, 100
"""Of one pod, once a quarter of the ring is unread; as many again at once."""


def denied(source: Address, target: Address) -> bytes:
    """SCTP, because nothing of it is answered."""
    return programs.frame(source, target, programs.SCTP, programs.sctp(1000, 9))


@pytest.fixture
def closed(bench: Bench) -> Bench:
    """UDP out is allowed, everything else denied."""
    bench.policy(layouts.POLICY_ALLOW, direction=EGRESS, protocol=UDP)
    bench.policy(layouts.POLICY_DENY, direction=EGRESS, protocol=programs.SCTP)
    return bench


def everything(bench: Bench) -> list[FlowEvent]:
    events: list[FlowEvent] = []
    while bench.datapath.read_events(events.append, limit=100_000):
        pass
    return events


def unrecorded(bench: Bench, endpoint: int) -> int:
    spent = bench.datapath.tables.spent.get(endpoint)
    assert spent is not None
    return spent.unrecorded


def test_a_flood_of_denials_pushes_out_no_denial_of_another_pod(closed: Bench) -> None:
    lost_before = closed.datapath.gauges()["events_lost"]
    began = time.monotonic()
    closed.raw("tc_from_pod", denied(ADDRESS[4], WORLD_ADDRESS[4]), repeat=FLOOD)
    quiet = 500
    for _ in range(quiet):
        closed.raw("tc_from_pod", denied(PEER_ADDRESS[4], WORLD_ADDRESS[4]), ifindex=closed.peer_ifindex)
    closed.raw("tc_from_pod", denied(ADDRESS[4], WORLD_ADDRESS[4]), repeat=FLOOD)
    seconds = time.monotonic() - began
    by_pod = Counter(event.endpoint for event in everything(closed))
    assert by_pod[PEER] == quiet
    assert ROOM // 4 <= by_pod[POD] <= ROOM // 4 + DENIALS_PER_SECOND * (seconds + 1) + 2
    assert unrecorded(closed, PEER) == 0
    lost = closed.datapath.gauges()["events_lost"] - lost_before
    assert (by_pod[POD] + lost, unrecorded(closed, POD)) == (2 * FLOOD, lost)


def test_allowed_flows_leave_the_upper_half_to_denials(closed: Bench) -> None:
    closed.raw("tc_from_pod", denied(ADDRESS[4], WORLD_ADDRESS[4]), repeat=FLOOD)
    began = time.monotonic()
    for port in range(1, 1001):
        packet = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], UDP, programs.udp(port, 53))
        assert closed.raw("tc_from_pod", packet).retval == programs.TC_OK  # a record that is lost stops no packet
    seconds = time.monotonic() - began
    by_verdict = Counter(event.verdict for event in everything(closed))
    assert ALLOWS_PER_SECOND <= by_verdict[layouts.VERDICT_ALLOW] <= ALLOWS_PER_SECOND * (seconds + 1) + 2
    assert by_verdict[layouts.VERDICT_DENY] > ROOM // 4


def test_everything_is_recorded_while_the_reader_keeps_up(closed: Bench) -> None:
    for port in range(1, 3001):
        closed.raw("tc_from_pod", programs.frame(ADDRESS[4], WORLD_ADDRESS[4], UDP, programs.udp(port, 53)))
    assert len(everything(closed)) == 3000
    assert unrecorded(closed, POD) == 0


def test_a_neighbour_pays_for_what_it_has_denied_at_another_pod(closed: Bench) -> None:
    """By the interface that the packets came in by; what comes from outside is the receiver's."""
    stray = programs.frame(PEER_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(7, 8, programs.FIN | programs.ACK))
    closed.raw("tc_to_pod", stray, came_in=closed.peer_ifindex, repeat=FLOOD)
    assert unrecorded(closed, PEER) > FLOOD // 2
    assert unrecorded(closed, POD) == 0
    borrowed = programs.frame(PEER_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(7, 8))
    before = unrecorded(closed, PEER)
    closed.raw("tc_to_pod", borrowed, came_in=99, repeat=FLOOD)
    assert unrecorded(closed, POD) > FLOOD // 2
    assert unrecorded(closed, PEER) == before
    everything(closed)
