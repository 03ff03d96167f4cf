"""Links to agents: one per node, questions that time out, and what is remembered of those that are away."""

from __future__ import annotations

import asyncio

import pytest

from controller import fleet as fleet_module
from controller.fleet import CommandFailed, Fleet, Link
from controller.telemetry import Telemetry
from mesh.model import Revision
from mesh.snapshot import NodeSnapshot


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def connected(fleet: Fleet, key: str = "k", revision: int = 0) -> Link:
    link = fleet.connect("n1", key, (), revision)
    assert isinstance(link, Link)
    return link


def held(link: Link, revision: int) -> None:
    link.session.offer(NodeSnapshot(node="n1", revision=Revision(revision)))
    link.session.ack(revision)


def test_a_second_stream_with_another_key_is_refused_and_with_the_same_replaces() -> None:
    fleet = Fleet(Telemetry(), Clock())
    first = connected(fleet)
    refusal = fleet.connect("n1", "other", (), 0)
    assert isinstance(refusal, str)
    assert "connected with another key" in refusal
    second = connected(fleet)
    assert first.closing == "the node has opened a new stream"
    assert fleet.links["n1"] is second
    fleet.disconnect(first)
    assert fleet.links["n1"] is second


def test_what_a_node_held_is_remembered_while_this_controller_lives() -> None:
    clock = Clock()
    fleet = Fleet(Telemetry(), clock)
    link = connected(fleet)
    held(link, 3)
    fleet.disconnect(link)
    clock.now += 5
    assert (fleet.acked("n1"), fleet.age_s("n1")) == (3, 5.0)
    assert connected(fleet, revision=3).session.acked == 3
    fleet.disconnect(fleet.links["n1"])
    assert connected(fleet, revision=2).session.held is None


def test_a_deleted_node_is_forgotten() -> None:
    fleet = Fleet(Telemetry(), Clock())
    link = connected(fleet)
    held(link, 3)
    fleet.forget("n1")
    assert "was deleted" in link.closing
    assert (fleet.links, fleet.acked("n1"), fleet.age_s("n1")) == ({}, 0, None)


def test_questions_are_answered_fail_or_time_out() -> None:
    async def main() -> None:
        fleet = Fleet(Telemetry(), Clock())
        with pytest.raises(CommandFailed, match="node n1 is not connected"):
            await fleet.ask("n1", "x", "", 1)
        link = connected(fleet)
        asked = asyncio.create_task(fleet.ask("n1", "x", "{}", 5))
        await asyncio.sleep(0)
        (question,) = link.questions
        link.answer(question.id, "[1]", "")
        link.answer(question.id, "[2]", "")
        assert await asked == "[1]"
        with pytest.raises(CommandFailed, match="gave no answer to x within 0 s"):
            await fleet.ask("n1", "x", "", 0)
        assert (link.pending, link.questions) == ({}, [])
        asked = asyncio.create_task(fleet.ask("n1", "x", "", 5))
        await asyncio.sleep(0)
        fleet.disconnect(link)
        with pytest.raises(CommandFailed, match="went away before it answered"):
            await asked

    asyncio.run(main())


def test_questions_to_one_node_are_bounded() -> None:
    async def main() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fleet_module, "COMMAND_LIMIT", 1)
            fleet = Fleet(Telemetry(), Clock())
            link = connected(fleet)
            first = asyncio.create_task(fleet.ask("n1", "x", "", 5))
            await asyncio.sleep(0)
            with pytest.raises(CommandFailed, match="has 1 questions waiting already"):
                await fleet.ask("n1", "x", "", 5)
            link.answer(link.questions[0].id, "", "no such map")
            with pytest.raises(CommandFailed, match="no such map"):
                await first

    asyncio.run(main())


def test_a_stop_ends_every_stream() -> None:
    fleet = Fleet(Telemetry(), Clock())
    link = connected(fleet)
    fleet.wake_all()
    assert link.wake.is_set()
    fleet.stop()
    assert (link.stopping, link.closing) == (True, "the controller is stopping")
