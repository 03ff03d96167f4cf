"""Which flag wins when the chains of the peer and of everybody meet: the table of layouts.h, by the loaded programs."""

from __future__ import annotations

import pytest

from mesh import layouts
from tests.bpf import programs
from tests.bpf.programs import ADDRESS, PEER_ADDRESS, PEER_IDENTITY, TCP, UDP, WORLD_ADDRESS, Bench

ALLOW, DENY = layouts.POLICY_ALLOW, layouts.POLICY_DENY
HTTP_ALLOW, HTTP_DENY = layouts.POLICY_HTTP_ALLOW, layouts.POLICY_HTTP_DENY
PASS, PROXY = layouts.DROP_NONE, layouts.DROP_PROXY_MISSING
DEFAULT = layouts.DROP_POLICY_DEFAULT

CASES = [
    # peer's entry, everybody's entry, what comes of it
    (0, 0, DEFAULT),
    (ALLOW, 0, PASS),
    (0, ALLOW, PASS),
    (ALLOW, DENY, layouts.DROP_POLICY_DENY),
    (DENY, ALLOW, layouts.DROP_POLICY_DENY),
    (DENY, HTTP_ALLOW, layouts.DROP_POLICY_DENY),
    (HTTP_ALLOW, 0, PROXY),
    (0, HTTP_ALLOW, PROXY),
    (HTTP_ALLOW, ALLOW, PASS),
    (HTTP_DENY, ALLOW, PROXY),
    (ALLOW, HTTP_DENY, PROXY),
    (HTTP_DENY, HTTP_ALLOW, PROXY),
    (HTTP_DENY, 0, DEFAULT),
    (HTTP_DENY | DENY, ALLOW, layouts.DROP_POLICY_DENY),
]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("peer", "everybody", "reason"), CASES)
def test_flags_of_both_chains_are_united(bench: Bench, version: int, peer: int, everybody: int, reason: int) -> None:
    for direction, program in ((layouts.DIR_EGRESS, "tc_from_pod"), (layouts.DIR_INGRESS, "tc_to_pod")):
        egress = direction == layouts.DIR_EGRESS
        bench.reset()
        if egress:  # the destination is a pod of this node, and open
            bench.policy(ALLOW, direction=layouts.DIR_INGRESS)
        if peer:
            bench.policy(peer, direction=direction, identity=PEER_IDENTITY, protocol=TCP, port=80)
        if everybody:
            bench.policy(everybody, direction=direction)
        ends = (ADDRESS, PEER_ADDRESS) if egress else (PEER_ADDRESS, ADDRESS)
        packet = programs.frame(ends[0][version], ends[1][version], TCP, programs.tcp(2000, 80))
        seen = bench.run(program, packet)
        wanted = layouts.DROP_PROXY_BYPASS if reason == PROXY and not egress else reason
        assert (seen.reason, seen.passed) == (wanted, wanted == PASS)


def test_a_range_ends_where_another_one_begins(bench: Bench) -> None:
    bench.policy(ALLOW, direction=layouts.DIR_EGRESS, protocol=TCP, port=0x2000, last=0x2FFF)  # 8192 to 12287
    bench.policy(DENY, direction=layouts.DIR_EGRESS, protocol=TCP, port=0x2100, last=0x21FF)  # 8448 to 8703
    for port, passes in ((8191, False), (8192, True), (8447, True), (8448, False), (8703, False), (12287, True)):
        packet = programs.frame(ADDRESS[4], PEER_ADDRESS[4], TCP, programs.tcp(3000, port))
        assert bench.run("tc_from_pod", packet).passed is passes, port


def test_a_rule_for_tcp_opens_no_udp(bench: Bench) -> None:
    bench.policy(ALLOW, direction=layouts.DIR_EGRESS, protocol=TCP, port=53)
    packet = programs.frame(ADDRESS[4], PEER_ADDRESS[4], UDP, programs.udp(3000, 53))
    assert bench.run("tc_from_pod", packet).reason == DEFAULT


def test_http_rules_never_open_what_the_proxy_cannot_see(bench: Bench) -> None:
    bench.policy(HTTP_ALLOW, direction=layouts.DIR_EGRESS)
    packet = programs.frame(ADDRESS[4], PEER_ADDRESS[4], UDP, programs.udp(3000, 53))
    assert bench.run("tc_from_pod", packet).reason == PROXY


@pytest.mark.parametrize(("flags", "reason"), [(0, DEFAULT), (DENY, layouts.DROP_POLICY_DENY)])
def test_the_proxy_takes_no_connection_that_a_pod_of_this_node_refuses(bench: Bench, flags: int, reason: int) -> None:
    """Egress wants the proxy, the destination denies at L4: a reset now, not a connection without a server."""
    bench.policy(HTTP_ALLOW, direction=layouts.DIR_EGRESS, rules=71)
    if flags:
        bench.policy(flags, direction=layouts.DIR_INGRESS, identity=programs.POD_IDENTITY, rules=72)
    seen = bench.run("tc_from_pod", programs.frame(ADDRESS[4], PEER_ADDRESS[4], TCP, programs.tcp(3000, 80)))
    assert (seen.reason, seen.action) == (reason, programs.TC_REDIRECT)
    event = seen.events[-1]
    assert (event.direction, event.endpoint, event.peer_endpoint) == (
        layouts.DIR_INGRESS,
        programs.PEER,
        programs.POD,
    )
    assert (event.policy_set, event.rules_peer, event.rules_any) == (programs.POD_SET, 72 if flags else 0, 0)


def test_the_record_names_the_rules_of_both_chains(bench: Bench) -> None:
    bench.policy(ALLOW, direction=layouts.DIR_EGRESS, identity=PEER_IDENTITY, rules=71)
    bench.policy(ALLOW, direction=layouts.DIR_EGRESS, rules=72)
    seen = bench.run("tc_from_pod", programs.frame(ADDRESS[4], PEER_ADDRESS[4], TCP, programs.tcp(3000, 80)))
    event = seen.events[-1]
    assert (event.rules_peer, event.rules_any, event.peer_endpoint) == (71, 72, programs.PEER)


def test_an_empty_set_and_an_unknown_peer_are_denied_without_an_answer(bench: Bench) -> None:
    bench.endpoint(policy_set=0)
    packet = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(3000, 80))
    seen = bench.run("tc_from_pod", packet)
    assert (seen.reason, seen.action) == (layouts.DROP_NO_POLICY, programs.TC_SHOT)
    bench.endpoint()
    bench.allow_all()
    programs.cached(bench, WORLD_ADDRESS[4], layouts.IDENTITY_UNKNOWN)
    try:
        seen = bench.run("tc_from_pod", packet)
    finally:
        programs.cached(bench, WORLD_ADDRESS[4], layouts.IDENTITY_WORLD)
    assert (seen.reason, seen.action) == (layouts.DROP_UNKNOWN_PEER, programs.TC_SHOT)


@pytest.mark.parametrize("version", [4, 6])
def test_the_node_and_its_pods_always_reach_each_other(bench: Bench, version: int) -> None:
    bench.policy(DENY, direction=layouts.DIR_INGRESS)
    bench.policy(DENY, direction=layouts.DIR_EGRESS)
    node = programs.NODE_ADDRESS[version]
    probe = programs.frame(node, ADDRESS[version], TCP, programs.tcp(3000, 80))
    assert bench.run("tc_to_pod", probe).passed
    question = programs.frame(ADDRESS[version], node, TCP, programs.tcp(3001, 53))
    assert bench.run("tc_from_pod", question).passed


@pytest.mark.parametrize(("port", "reason"), [(15001, layouts.DROP_PROXY_PORT), (15002, layouts.DROP_AGENT_PORT)])
def test_ports_of_proxy_and_agent_are_closed_to_pods_and_network(bench: Bench, port: int, reason: int) -> None:
    bench.allow_all()
    node = programs.NODE_ADDRESS[4]
    seen = bench.run("tc_from_pod", programs.frame(ADDRESS[4], node, TCP, programs.tcp(3000, port)))
    assert (seen.reason, seen.passed) == (reason, False)
    seen = bench.run("tc_from_net", programs.frame(WORLD_ADDRESS[4], node, TCP, programs.tcp(3000, port)))
    assert (seen.reason, seen.passed) == (reason, False)
