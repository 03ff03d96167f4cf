"""One agent's knowledge: snapshot, then deltas, one at a time; a refusal keeps the one before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.session import NodeSession, ProtocolViolation
from mesh.model import Revision
from mesh.snapshot import Delta, NodeSnapshot, apply
from tests.unit.mesh.api.models import snapshots


def at(revision: int) -> NodeSnapshot:
    return NodeSnapshot(node="n", revision=Revision(revision))


def test_a_whole_snapshot_first_then_deltas() -> None:
    session = NodeSession()
    assert session.offer(at(1)) == at(1)
    session.ack(1)
    delta = session.offer(at(2))
    assert isinstance(delta, Delta)
    assert (delta.base, delta.revision, delta.empty) == (1, 2, True)


def test_nothing_is_sent_while_an_answer_is_awaited_and_then_only_the_newest() -> None:
    session = NodeSession()
    session.offer(at(1))
    assert session.offer(at(2)) is None
    assert session.waiting
    session.ack(1)
    delta = session.offer(at(5))
    assert isinstance(delta, Delta)
    assert (delta.base, delta.revision) == (1, 5)


def test_nothing_is_sent_to_one_who_holds_the_newest() -> None:
    assert NodeSession(at(4)).offer(at(4)) is None


def test_a_refusal_keeps_the_one_before_as_base() -> None:
    session = NodeSession(at(1))
    session.offer(at(2))
    session.nack(2, "map full")
    assert (session.acked, session.refusal and session.refusal.reason) == (1, "map full")
    assert session.offer(at(2)) is None
    delta = session.offer(at(3))
    assert isinstance(delta, Delta)
    assert delta.base == 1
    session.ack(3)
    assert session.refusal is None


def test_an_agent_that_succeeds_after_all_acknowledges_late() -> None:
    session = NodeSession(at(1))
    session.offer(at(2))
    session.nack(2, "map full")
    session.ack(2)
    assert (session.acked, session.refusal) == (2, None)


def test_an_ack_may_be_said_again() -> None:
    session = NodeSession(at(2))
    session.ack(2)
    assert session.acked == 2


@pytest.mark.parametrize("word", ["ack", "nack"])
def test_an_answer_to_what_was_not_sent_is_a_violation(word: str) -> None:
    session = NodeSession(at(1))
    with pytest.raises(ProtocolViolation, match="revision 7, which was not sent"):
        session.ack(7) if word == "ack" else session.nack(7, "")


@settings(max_examples=40, deadline=None)
@given(st.lists(snapshots(), min_size=1, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5))
def test_whatever_is_refused_the_agent_ends_with_the_newest(states: list[NodeSnapshot], taken: list[bool]) -> None:
    session, agent = NodeSession(), None
    numbered = [replace(state, revision=Revision(i + 1)) for i, state in enumerate(states)]
    for state, takes in zip([*numbered, replace(numbered[-1], revision=Revision(99))], [*taken, True], strict=False):
        offered = session.offer(state)
        if offered is None:
            continue
        if takes or state.revision == 99:
            agent = apply(agent, offered) if isinstance(offered, Delta) and agent else offered
            session.ack(state.revision)
        else:
            session.nack(state.revision, "no")
    assert session.acked == 99
    assert agent == session.held
