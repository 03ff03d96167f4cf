"""One pod's rate of redirect records: what is over it is refused, and other pods' connections to the proxy go on."""

from __future__ import annotations

import time

import pytest

from mesh import layouts
from mesh.model import Address
from tests.bpf import programs
from tests.bpf.programs import ACK, ADDRESS, PEER_ADDRESS, TCP, WORLD_ADDRESS, Bench

AT_ONCE, PER_SECOND = 65536 // 4, 65536 // 8


@pytest.fixture
def proxied(bench: Bench) -> Bench:
    """Port 80 needs the proxy, both ways. A hand-over ends as proxy-missing in a test run, and a reset would change the
    packet that is run again."""
    bench.datapath.configure(programs.config(flags=layouts.CONFIG_PROXY_UP | layouts.CONFIG_DROP_SILENTLY))
    for direction in (layouts.DIR_EGRESS, layouts.DIR_INGRESS):
        bench.policy(layouts.POLICY_HTTP_ALLOW, direction=direction, protocol=TCP, port=80)
    return bench


def syn(source: Address, target: Address, flags: int = programs.SYN) -> bytes:
    return programs.frame(source, target, TCP, programs.tcp(2000, 80, flags))


def refused(bench: Bench, direction: int) -> int:
    count = bench.datapath.counters().get((layouts.DROP_REDIRECT_SHARE, direction))
    return 0 if count is None else count.packets


def earned_since(began: float) -> float:
    """What a pod may write beyond what it may at once, in the time that the test itself took."""
    return PER_SECOND * (time.monotonic() - began) + 2


def drained(bench: Bench) -> None:
    bench.datapath.read_events(lambda _: None, limit=1_000_000)


def test_a_pod_that_floods_the_proxy_is_refused_and_others_are_not(proxied: Bench) -> None:
    to_world, before = syn(ADDRESS[4], WORLD_ADDRESS[4]), refused(proxied, layouts.DIR_EGRESS)
    began = time.monotonic()
    proxied.raw("tc_from_pod", to_world, repeat=AT_ONCE)
    assert refused(proxied, layouts.DIR_EGRESS) == before
    proxied.raw("tc_from_pod", to_world, repeat=4 * AT_ONCE)
    flooded = refused(proxied, layouts.DIR_EGRESS)
    assert flooded - before >= 4 * AT_ONCE - earned_since(began)
    of_peer = syn(PEER_ADDRESS[4], WORLD_ADDRESS[4])
    proxied.raw("tc_from_pod", of_peer, ifindex=proxied.peer_ifindex, repeat=AT_ONCE)
    assert refused(proxied, layouts.DIR_EGRESS) == flooded
    drained(proxied)
    of_a_live_one = syn(ADDRESS[4], WORLD_ADDRESS[4], ACK)
    assert proxied.run("tc_from_pod", of_a_live_one).reason == layouts.DROP_PROXY_MISSING


def test_a_flood_from_outside_is_charged_to_the_pod_that_it_is_for(proxied: Bench) -> None:
    before, began = refused(proxied, layouts.DIR_INGRESS), time.monotonic()
    proxied.raw("tc_from_net", syn(WORLD_ADDRESS[4], ADDRESS[4]), repeat=4 * AT_ONCE)
    after = refused(proxied, layouts.DIR_INGRESS)
    assert after - before >= 3 * AT_ONCE - earned_since(began)
    proxied.raw("tc_from_net", syn(WORLD_ADDRESS[4], PEER_ADDRESS[4]), repeat=AT_ONCE)
    assert refused(proxied, layouts.DIR_INGRESS) == after
    drained(proxied)
