"""What the node takes and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.errors import SnapshotRefused
from agent.state import attach, detach, receive
from mesh.model import Revision
from mesh.snapshot import MeshSettings, diff
from tests.support import nodes

HELD = nodes.snapshot(revision=1, pods=[nodes.pod("a", "10.9.0.1", 300, "a")], policies=[nodes.policy("a")])


def test_a_delta_leads_to_the_snapshot_it_was_made_for() -> None:
    new = nodes.snapshot(revision=2, policies=[nodes.policy("b")])
    assert receive(nodes.node(HELD), diff(HELD, new)).snapshot == new


def test_a_delta_from_another_revision_is_refused() -> None:
    delta = replace(diff(HELD, replace(HELD, revision=Revision(9))), base=Revision(7))
    with pytest.raises(SnapshotRefused, match="starts at revision 7"):
        receive(nodes.node(HELD), delta)


def test_a_snapshot_of_another_node_is_refused() -> None:
    with pytest.raises(SnapshotRefused, match="node-2"):
        receive(nodes.node(HELD), replace(HELD, node="node-2"))


def test_a_pod_without_its_policy_set_is_refused_not_guessed() -> None:
    with pytest.raises(SnapshotRefused, match="shop/a"):
        receive(nodes.node(HELD), replace(HELD, policies={}))


def test_an_unknown_feedback_mode_is_refused() -> None:
    with pytest.raises(SnapshotRefused, match="Shout"):
        receive(nodes.node(HELD), replace(HELD, settings=MeshSettings(deny_feedback="Shout")))


def test_attach_and_detach_leave_the_old_state_alone() -> None:
    empty = nodes.node(HELD)
    attached = attach(empty, nodes.local("a", 1, 11))
    assert list(attached.local) == ["shop/a"]
    assert empty.local == {}
    assert detach(attached, nodes.local("a", 1, 11)).local == {}
    assert detach(attached, nodes.local("a", 1, 12)) is attached, "another attachment of that name has come since"
    assert attached.policy_subject("shop/a") == HELD.endpoints["shop/a"]
