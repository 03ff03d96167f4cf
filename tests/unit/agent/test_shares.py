"""Who pays for a tracked flow, and what the kernel is told of it."""

from __future__ import annotations

from dataclasses import replace

from agent.datapath.tables import EndpointFreed, EndpointSpent
from agent.shares import Held, freed, held_by_pod, usual_flows_per_pod
from mesh.layouts import DIR_EGRESS, IDENTITY_HOST
from tests.support import nodes
from tests.unit.agent.test_evaluate import ENTRY, KEY, POD

NEIGHBOUR = nodes.address("10.9.0.2")
OWNERS = {POD: 1, NEIGHBOUR: 2}


def test_a_flow_is_charged_to_the_pod_that_opened_it_else_to_the_one_that_it_is_for() -> None:
    from_elsewhere = (KEY, ENTRY)
    from_a_neighbour = (replace(KEY, source=NEIGHBOUR), ENTRY)
    its_own = (replace(KEY, direction=DIR_EGRESS, source=POD, destination=KEY.source), ENTRY)
    a_probe = (replace(KEY, source=nodes.address("10.9.0.254")), replace(ENTRY, peer_identity=IDENTITY_HOST))
    found = held_by_pod([from_elsewhere, from_a_neighbour, its_own, a_probe], OWNERS)
    assert found == {1: Held(opened=1, received=1), 2: Held(opened=1)}


def test_the_difference_of_both_counts_is_what_is_held_also_when_they_wrap() -> None:
    assert freed(EndpointSpent(opened=100, received=7), Held(opened=30)) == EndpointFreed(opened=70, received=7)
    assert freed(EndpointSpent(opened=3), Held(opened=10)) == EndpointFreed(opened=2**32 - 7, received=0)


def test_one_pod_leaves_at_least_half_of_the_map() -> None:
    assert 2 * usual_flows_per_pod(262144) <= 262144 // 2
    assert usual_flows_per_pod(16) == 16  # a map so small is for trying things out
