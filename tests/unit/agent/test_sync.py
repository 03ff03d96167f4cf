"""The stream, against a controller of a few lines in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from agent import sync
from agent.credentials import Credentials
from agent.datapath.interface import MapFull
from agent.errors import AgentError, OutOfStep, SnapshotRefused
from agent.sync import Connection, Status, StreamEnded, Sync
from mesh.api import codec, features, mesh_pb2_grpc
from mesh.api import mesh_pb2 as pb
from mesh.model import FlowRecord
from mesh.snapshot import Delta, NodeSnapshot, diff
from tests.support import nodes
from tests.support.waiting import LONGEST_S, until
from tests.unit.agent.test_flows import EVENT, names, record

ONE = nodes.snapshot(revision=1)
TWO = nodes.snapshot(revision=2, policies=[nodes.policy("a")])


class Node:
    """Plays the rest of the agent."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.errors: list[Exception] = []
        self.flows: list[FlowRecord] = []
        self.caught_up_at: list[int] = []
        self.rest = asyncio.Event()
        self.rest.set()
        self.proxy = asyncio.Event()
        self.proxy.set()

    def revision(self) -> int:
        return self.taken[-1] if self.taken else 0

    async def settled(self) -> None:
        await self.rest.wait()

    async def take_news(self, news: list[NodeSnapshot | Delta]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(news[-1].revision)

    async def caught_up(self) -> None:
        self.caught_up_at.append(self.revision())
        await self.proxy.wait()

    def status(self) -> Status:
        return Status(
            enforced_revision=self.revision(), state="enforcing", warnings=("w",), endpoints=1, endpoints_enforced=1,
            proxy_workers=1,
        )  # fmt: skip

    def take_flows(self, most: int) -> tuple[list[FlowRecord], int]:
        taken, self.flows = self.flows, []
        return taken, 0

    async def answer(self, name: str, arguments: dict[str, Any]) -> Any:
        if name != "endpoint-list":
            raise AgentError("no such command")
        return {"given": arguments}


class Controller(mesh_pb2_grpc.MeshServicer):
    """Plays the controller: the test says what is sent, and reads what came."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[pb.FromAgent] = asyncio.Queue()
        self.send: asyncio.Queue[pb.FromController | None] = asyncio.Queue()
        """None ends the stream, and so does the agent's end of it."""
        self.listens = asyncio.Event()
        self.listens.set()

    async def Sync(self, requests: AsyncIterator[pb.FromAgent], context: Any) -> AsyncIterator[pb.FromController]:
        async def collect() -> None:
            await self.listens.wait()
            async for message in requests:
                await self.came.put(message)
                await self.listens.wait()
            await self.send.put(None)

        reading = asyncio.ensure_future(collect())
        try:
            yield pb.FromController(welcome=pb.Welcome(version=features.VERSION, features=features.FEATURES))
            while (message := await self.send.get()) is not None:
                yield message
        finally:
            reading.cancel()

    async def next(self, kind: str) -> Any:
        """The next message of a kind; status reports come in between."""
        async with asyncio.timeout(LONGEST_S):
            while True:
                message = await self.came.get()
                if message.WhichOneof("message") == kind:
                    return getattr(message, kind)


async def no_credentials() -> Credentials:
    raise AgentError("no certificate")


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


def play(
    story: Callable[[Controller, Node, asyncio.Task[None]], Awaitable[None]],
    node: Node | None = None,
    pause: Callable[[float], Awaitable[None]] = no_pause,
) -> None:
    async def main() -> None:
        controller, played = Controller(), node or Node()
        server = grpc.aio.server()
        mesh_pb2_grpc.add_MeshServicer_to_server(controller, server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()

        subject = Sync("node-1", f"127.0.0.1:{port}", played, no_credentials, connection=Connection(), pause=pause)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", (("grpc.enable_http_proxy", 0),)) as channel:
            stream = asyncio.ensure_future(subject.converse(channel))
            try:
                await story(controller, played, stream)
            finally:
                stream.cancel()
                await asyncio.gather(stream, return_exceptions=True)
                await server.stop(None)

    asyncio.run(main())


def test_a_hello_waits_for_what_an_earlier_stream_left_half_way() -> None:
    """It says which revision is held: told too early, the controller would send what no longer fits."""

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        await asyncio.sleep(0)
        assert controller.came.empty()
        node.taken.append(7)
        node.rest.set()
        assert (await controller.next("hello")).revision == 7

    node = Node()
    node.rest.clear()
    play(story, node)


def snapshot_message(snapshot: NodeSnapshot) -> pb.FromController:
    return pb.FromController(snapshot=codec.snapshot_to_pb(snapshot))


def delta_message(old: NodeSnapshot, new: NodeSnapshot) -> pb.FromController:
    return pb.FromController(delta=codec.delta_to_pb(diff(old, new)))


def test_hello_says_who_what_and_which_revision() -> None:
    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        hello = await controller.next("hello")
        assert (hello.node, hello.version, hello.revision) == ("node-1", features.VERSION, 0)
        assert list(hello.features) == list(features.FEATURES)

    play(story)


def test_a_snapshot_then_a_delta_are_acknowledged_once_enforced() -> None:
    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        await controller.send.put(snapshot_message(ONE))
        assert (await controller.next("ack")).revision == 1
        await controller.send.put(delta_message(ONE, TWO))
        assert (await controller.next("ack")).revision == 2
        assert node.taken == [1, 2]

    play(story)


def test_an_acknowledgement_waits_for_the_proxy() -> None:
    """Else `status --wait` would call a policy enforced by which nobody judges requests yet."""

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        node.proxy.clear()
        await controller.send.put(snapshot_message(ONE))
        await until(lambda: node.caught_up_at == [1])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await controller.next("ack")
        node.proxy.set()
        assert (await controller.next("ack")).revision == 1

    play(story)


def test_a_full_map_is_a_nack_with_its_reason_and_a_late_ack() -> None:
    node = Node()
    node.errors = [MapFull("map policy is full"), MapFull("map policy is full")]

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        await controller.send.put(snapshot_message(ONE))
        nack = await controller.next("nack")
        assert (nack.revision, nack.reason) == (1, "map policy is full")
        assert (await controller.next("ack")).revision == 1

    play(story, node)


def test_attempts_at_a_revision_that_the_kernel_refuses_come_at_growing_distances() -> None:
    node, pauses = Node(), list[float]()
    node.errors = [MapFull("full")] * 6

    async def noted(seconds: float) -> None:
        pauses.append(seconds)

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        await controller.send.put(snapshot_message(ONE))
        assert (await controller.next("ack")).revision == 1

    play(story, node, noted)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_news_do_not_wait_for_the_next_attempt_at_what_was_refused() -> None:
    node = Node()
    node.errors = [MapFull("full")]

    async def for_ever(_: float) -> None:
        await asyncio.Event().wait()

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        await controller.send.put(snapshot_message(ONE))
        assert (await controller.next("nack")).revision == 1
        await controller.send.put(snapshot_message(TWO))
        assert (await controller.next("ack")).revision == 2
        assert node.taken == [2]

    play(story, node, for_ever)


def test_what_is_refused_stays_refused_and_the_next_revision_goes_on() -> None:
    node = Node()
    node.errors = [SnapshotRefused("unknown mode")]

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        await controller.send.put(snapshot_message(ONE))
        assert (await controller.next("nack")).reason == "unknown mode"
        await controller.send.put(snapshot_message(TWO))
        assert (await controller.next("ack")).revision == 2

    play(story, node)


def test_a_delta_out_of_step_ends_the_stream_so_that_a_hello_can_help() -> None:
    node = Node()
    node.errors = [OutOfStep("starts at revision 7")]

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        await controller.send.put(delta_message(ONE, TWO))
        assert (await controller.next("nack")).revision == 2
        with pytest.raises(StreamEnded, match="starts at revision 7"):
            await stream

    play(story, node)


def test_a_stream_that_ends_with_a_nack_ends_when_the_controller_has_heard_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cancelled is thrown away at the other end, read or not."""
    monkeypatch.setattr(sync, "LEAVE_S", LONGEST_S)
    node = Node()
    node.errors = [OutOfStep("starts at revision 7")]

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        controller.listens.clear()
        await controller.send.put(delta_message(ONE, TWO))
        await until(lambda: not node.errors)
        await asyncio.sleep(0.1)  # time for what must not happen
        assert not stream.done()
        controller.listens.set()
        assert (await controller.next("nack")).revision == 2
        with pytest.raises(StreamEnded, match="starts at revision 7"):
            await stream

    play(story, node)


def test_a_controller_that_does_not_listen_keeps_no_stream_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "LEAVE_S", 0.05)
    node = Node()
    node.errors = [OutOfStep("starts at revision 7")]

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        controller.listens.clear()
        await controller.send.put(delta_message(ONE, TWO))
        with pytest.raises(StreamEnded, match="starts at revision 7"):
            await stream

    play(story, node)


def test_what_cannot_be_read_is_a_nack() -> None:
    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        message = snapshot_message(TWO)
        message.snapshot.policies[0].ingress.rules.add(action="Maybe")
        await controller.send.put(message)
        nack = await controller.next("nack")
        assert nack.revision == 2
        assert node.taken == []

    play(story)


def test_commands_are_answered_or_their_error_is() -> None:
    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        for number, (name, arguments) in enumerate(
            [("endpoint-list", '{"a": 1}'), ("reboot", ""), ("endpoint-list", "[1]"), ("endpoint-list", "{")]
        ):
            command = pb.Command(id=number, name=name, arguments=arguments)
            await controller.send.put(pb.FromController(command=command))
        answers = [await controller.next("result") for _ in range(4)]
        assert answers[0].json == '{"given": {"a": 1}}'
        assert [bool(answer.error) for answer in answers] == [False, True, True, True]

    play(story)


def test_status_and_flows_go_out() -> None:
    node = Node()
    node.flows = [record(EVENT, names())]

    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        batch = await controller.next("flows")
        assert codec.flow_from_pb(batch.flows[0]) == record(EVENT, names())
        await controller.send.put(snapshot_message(ONE))
        while (status := await controller.next("status")).enforced_revision != 1:
            pass
        assert (status.state, list(status.warnings), status.endpoints) == ("enforcing", ["w"], 1)

    play(story, node)


def test_a_refusal_ends_the_stream_with_its_words() -> None:
    async def story(controller: Controller, node: Node, stream: asyncio.Task[None]) -> None:
        await controller.send.put(pb.FromController(refused="node-1 was deleted"))
        with pytest.raises(StreamEnded, match="node-1 was deleted"):
            await stream

    play(story)


def test_without_a_certificate_it_tries_again_with_growing_pauses() -> None:
    pauses: list[float] = []

    async def main() -> None:
        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 8:
                raise asyncio.CancelledError
            await asyncio.sleep(0)

        connection = Connection()
        subject = Sync("node-1", "127.0.0.1:1", Node(), no_credentials, connection=connection, pause=pause)
        with pytest.raises(asyncio.CancelledError):
            await subject.run()
        assert connection == Connection(up=False, error="no certificate")

    asyncio.run(main())
    assert pauses[0] <= 0.4
    assert pauses[-1] >= 5.0
    assert max(pauses) <= 10.0
