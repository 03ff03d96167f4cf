"""Chains of any length in the policy map: each port finds its step, and a chain with a hole in it denies."""

from __future__ import annotations

from random import Random

import pytest

from agent.datapath.tables import PolicyKey, PolicyStep
from agent.policypages import pages_of
from mesh import layouts
from tests.bpf import programs
from tests.bpf.programs import ADDRESS, PEER_ADDRESS, PEER_IDENTITY, POD_SET, SCTP, TCP, UDP, Bench

ALLOW, EGRESS, INGRESS = layouts.POLICY_ALLOW, layouts.DIR_EGRESS, layouts.DIR_INGRESS
PEER_OR_ANY = (PEER_IDENTITY, layouts.IDENTITY_ANY)


def rules_found(bench: Bench, protocol: int, port: int, identity: int) -> int:
    """The number that the step of this port carries; the packet is allowed."""
    packet = programs.frame(ADDRESS[4], PEER_ADDRESS[4], protocol, programs.l4(protocol, 3000, port))
    seen = bench.run("tc_from_pod", packet)
    assert seen.passed, (protocol, port, layouts.DropReason(seen.reason))
    table = bench.datapath.tables.conntrack
    table.delete_many([key for key, _ in table.items()])
    event = seen.events[-1]
    return event.rules_any if identity == layouts.IDENTITY_ANY else event.rules_peer


@pytest.mark.parametrize("identity", PEER_OR_ANY)
@pytest.mark.parametrize("levels", range(1, 5))
def test_a_port_finds_its_step_in_a_chain_of_any_length(bench: Bench, levels: int, identity: int) -> None:
    bench.allow_all()
    lot = Random(levels)
    places = lot.sample([(protocol, port) for protocol in (TCP, UDP, SCTP) for port in range(65536)], 7**levels - 1)
    chain = tuple(PolicyStep(*place, ALLOW, number) for number, place in enumerate([(0, 0), *sorted(places)], 1))
    assert len(pages_of(chain)) == sum(7**level for level in range(levels))
    bench.chain(chain, direction=EGRESS, identity=identity)
    for step in lot.sample(chain[1:], min(len(chain) - 1, 60)):
        assert rules_found(bench, step.protocol, step.port, identity) == step.rules
        if step.port:
            assert rules_found(bench, step.protocol, step.port - 1, identity) == step.rules - 1
    assert rules_found(bench, SCTP, 65535, identity) == len(chain)


def test_every_port_of_every_protocol_can_be_a_step_of_its_own(bench: Bench) -> None:
    bench.allow_all()
    places = [(0, 0), *((protocol, port) for protocol in (TCP, UDP, SCTP) for port in range(65536))]
    bench.chain(tuple(PolicyStep(*place, ALLOW, number) for number, place in enumerate(places, 1)), direction=EGRESS)
    for protocol, first in ((TCP, 2), (UDP, 65538), (SCTP, 131074)):
        for port in (0, 1, 80, 32768, 65535):
            assert rules_found(bench, protocol, port, layouts.IDENTITY_ANY) == first + port


@pytest.mark.parametrize("identity", PEER_OR_ANY)
@pytest.mark.parametrize("depth", [1, 2])
def test_a_chain_with_a_page_missing_denies(bench: Bench, depth: int, identity: int) -> None:
    """Even where the other chain allows: what the page would have said is not known."""
    bench.allow_all()
    bench.policy(ALLOW, direction=EGRESS, identity=PEER_IDENTITY)
    chain = tuple(PolicyStep(TCP if port else 0, port, ALLOW, 1) for port in range(7 * 7 * 7))
    bench.chain(chain, direction=EGRESS, identity=identity)
    pages, number = pages_of(chain), 0
    for _ in range(depth):
        number = pages[number].steps[0].rules
    bench.datapath.tables.policy.delete(PolicyKey(set=POD_SET, identity=identity, direction=EGRESS, page=number))
    packet = programs.frame(ADDRESS[4], PEER_ADDRESS[4], TCP, programs.tcp(3000, 1))
    seen = bench.run("tc_from_pod", packet)
    assert (seen.reason, seen.passed) == (layouts.DROP_NO_POLICY, False)


@pytest.mark.parametrize(("final", "passes"), [(0, False), (layouts.POLICY_FINAL, True)])
def test_everybody_is_asked_unless_the_step_of_the_peer_is_final(bench: Bench, final: int, passes: bool) -> None:
    bench.allow_all()
    bench.chain((PolicyStep(0, 0, ALLOW | final),), direction=EGRESS, identity=PEER_IDENTITY)
    bench.chain((PolicyStep(0, 0, layouts.POLICY_DENY),), direction=EGRESS)
    packet = programs.frame(ADDRESS[4], PEER_ADDRESS[4], TCP, programs.tcp(3000, 80))
    assert bench.run("tc_from_pod", packet).passed is passes


def test_pages_that_lead_nowhere_deny(bench: Bench) -> None:
    bench.allow_all()
    bench.chain((PolicyStep(0, 0, layouts.POLICY_MORE, 0),), direction=EGRESS)
    packet = programs.frame(ADDRESS[4], PEER_ADDRESS[4], TCP, programs.tcp(3000, 80))
    assert bench.run("tc_from_pod", packet).reason == layouts.DROP_NO_POLICY
