"""The stream to the controller: hello, snapshots and deltas in, acks, status, flows and answers out. Mutual TLS.

News become values of `mesh.snapshot` and go to `take_news`, which returns when they are in force; its refusals become
nacks. The controller being away is normal: the node goes on with what it holds, and this tries again with a growing,
jittered pause. The only user of gRPC in the running agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio

from agent.credentials import Credentials
from agent.datapath.interface import DatapathError
from agent.errors import AgentError, OutOfStep, SnapshotRefused
from mesh.api import codec, features, mesh_pb2_grpc
from mesh.api import mesh_pb2 as pb
from mesh.journal import line
from mesh.model import FlowRecord
from mesh.snapshot import Delta, NodeSnapshot

log = logging.getLogger("sync")

Out = asyncio.Queue[pb.FromAgent | None]
"""What goes to the controller; None is the end of it."""

SERVER_NAME = "weft-controller"
LARGEST_MESSAGE = 64 << 20
NEWS_LIMIT = 64
OUT_LIMIT = 256
FLOW_BATCH = 512
FLOW_EVERY_S = 0.5
STATUS_EVERY_S = 3.0
STATUS_LOOK_S = 0.2
COMMAND_S = 20.0
RETRY_S = 1.0
LEAVE_S = 1.0
"""How long a controller may take to hear the last words of a stream."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the controller shows of this node."""

    enforced_revision: int
    state: str
    warnings: tuple[str, ...]
    endpoints: int
    endpoints_enforced: int
    proxy_workers: int


class Node(Protocol):
    """What the stream needs of the rest of the agent."""

    def revision(self) -> int:
        """The revision held and in force."""

    async def settled(self) -> None:
        """Returns when nothing of an earlier stream is being taken any more: such news are carried to their end."""

    async def take_news(self, news: list[NodeSnapshot | Delta]) -> None:
        """All of it is in force on return. Raises SnapshotRefused or DatapathError; then nothing changed."""

    async def caught_up(self) -> None:
        """Returns once the proxy authorises by it as well; soon, whatever becomes of the proxy."""

    def status(self) -> Status: ...
    def take_flows(self, most: int) -> tuple[list[FlowRecord], int]: ...
    async def answer(self, name: str, arguments: dict[str, Any]) -> Any:
        """The answer to a command, as a JSON value. AgentError where it cannot be given."""


@dataclass(slots=True)
class Connection:
    """Whether the controller is there. Sync alone writes it."""

    up: bool = False
    error: str = "not connected yet"
    """Why it is away, or was last."""


class StreamEnded(AgentError):
    """The stream is over; the text says why."""


class Sync:
    def __init__(
        self,
        node_name: str,
        target: str,
        node: Node,
        credentials: Callable[[], Awaitable[Credentials]],
        *,
        connection: Connection,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = node_name
        self._target = target
        self._node = node
        self._credentials = credentials
        self._pause = pause
        self.connection = connection
        self._leaving = ""
        """Why this end has said its last word."""

    async def run(self) -> None:
        """Hold a stream open until cancelled."""
        attempt = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._session(await self._credentials())
            except (StreamEnded, AgentError, grpc.aio.AioRpcError) as error:
                why = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
                if self.connection.up or why != self.connection.error:
                    log.warning(line("controller away", why=why))
                self.connection.error = why or "the stream ended"
            lived = asyncio.get_running_loop().time() - began
            attempt = 0 if self.connection.up and lived > LONGEST_PAUSE_S else attempt + 1
            self.connection.up = False
            longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempt, 10))
            await self._pause(longest * random.uniform(0.5, 1.0))

    async def _session(self, credentials: Credentials) -> None:
        channel_credentials = grpc.ssl_channel_credentials(
            root_certificates=credentials.trust_bundle,
            private_key=credentials.key,
            certificate_chain=credentials.certificate,
        )
        options = [
            ("grpc.ssl_target_name_override", SERVER_NAME),
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]
        async with grpc.aio.secure_channel(self._target, channel_credentials, options) as channel:
            await self.converse(channel)

    async def converse(self, channel: grpc.aio.Channel) -> None:
        """One stream from hello to its end, which is always an exception."""
        await self._node.settled()
        stub: Any = mesh_pb2_grpc.MeshStub(channel)  # type: ignore[no-untyped-call]  # generated without types
        call = stub.Sync()
        hello = pb.Hello(
            node=self._name, version=features.VERSION, features=features.FEATURES, revision=self._node.revision()
        )
        await call.write(pb.FromAgent(hello=hello))
        out: Out = asyncio.Queue(OUT_LIMIT)
        self._leaving = ""
        news: asyncio.Queue[NodeSnapshot | Delta] = asyncio.Queue(NEWS_LIMIT)
        commands: asyncio.Queue[pb.Command] = asyncio.Queue(OUT_LIMIT)
        ended: BaseExceptionGroup[BaseException] | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(call, out), name="sync-write")
                tasks.create_task(self._enforce(call, news, out), name="sync-enforce")
                tasks.create_task(self._commands(commands, out), name="sync-commands")
                tasks.create_task(self._report(out), name="sync-status")
                tasks.create_task(self._flows(out), name="sync-flows")
                await self._read(call, news, commands, out)
        except* (AgentError, grpc.aio.AioRpcError) as group:
            ended = group
        finally:
            call.cancel()
        # Raised here, because what is raised inside `except*` comes out as a group again.
        if ended is not None:
            raise _first(ended)

    async def _read(
        self,
        call: Any,
        news: asyncio.Queue[NodeSnapshot | Delta],
        commands: asyncio.Queue[pb.Command],
        out: Out,
    ) -> None:
        while True:
            message = await call.read()
            if not isinstance(message, pb.FromController):
                theirs = f"the controller ended the stream ({(await call.details()) or 'no reason given'})"
                raise StreamEnded(self._leaving or theirs)
            kind = message.WhichOneof("message")
            if kind == "welcome":
                objection = features.objection(message.welcome.version, message.welcome.features)
                if objection is not None:
                    raise StreamEnded(f"the controller's {objection}")
                self.connection.up = True
                self.connection.error = ""
                log.info(line("controller connected", version=message.welcome.version))
            elif kind == "refused":
                raise StreamEnded(f"the controller refuses this node: {message.refused}")
            elif kind == "command":
                try:
                    commands.put_nowait(message.command)
                except asyncio.QueueFull:
                    error = "the node is busy with other questions"
                    await out.put(pb.FromAgent(result=pb.CommandResult(id=message.command.id, error=error)))
            elif kind in ("snapshot", "delta"):
                await self._receive(kind, message, news, out)

    async def _receive(self, kind: str, message: Any, news: asyncio.Queue[NodeSnapshot | Delta], out: Out) -> None:
        try:
            if kind == "snapshot":
                await news.put(codec.snapshot_from_pb(message.snapshot))
            else:
                await news.put(codec.delta_from_pb(message.delta))
        except codec.CodecError as error:
            revision = message.snapshot.revision if kind == "snapshot" else message.delta.revision
            await self._refuse(revision, str(error), out)

    async def _refuse(self, revision: int, why: str, out: Out) -> None:
        """What was in force stays; the controller goes on from there with its next revision."""
        log.error(line("revision refused", revision=revision, why=why))
        await out.put(pb.FromAgent(nack=pb.Nack(revision=revision, reason=why)))

    async def _enforce(self, call: Any, news: asyncio.Queue[NodeSnapshot | Delta], out: Out) -> None:
        """In order; what has queued up meanwhile is enforced in one go and acknowledged by its last revision."""
        while True:
            batch = [await news.get(), *_waiting(news)]
            refused = failures = 0
            while batch:
                revision = batch[-1].revision
                try:
                    await self._node.take_news(batch)
                except OutOfStep as error:
                    await self._refuse(revision, str(error), out)
                    self._leaving = f"revision {revision}: {error}"
                    await _heard(call, out)
                    raise StreamEnded(self._leaving) from error
                except SnapshotRefused as error:
                    await self._refuse(revision, str(error), out)
                    batch = []
                except DatapathError as error:
                    if refused != revision:
                        await self._refuse(revision, str(error), out)
                        refused = revision
                    # News after a refusal start from what is held, not from what was refused.
                    batch = await self._news_within(news, min(RETRY_S * 2**failures, LONGEST_PAUSE_S)) or batch
                    failures = min(failures + 1, 10)
                else:
                    await self._node.caught_up()
                    await out.put(pb.FromAgent(ack=pb.Ack(revision=revision)))
                    batch = []

    async def _news_within(
        self, news: asyncio.Queue[NodeSnapshot | Delta], seconds: float
    ) -> list[NodeSnapshot | Delta]:
        """News may be what ends the trouble, so they do not wait for the next attempt."""
        first, pause = asyncio.ensure_future(news.get()), asyncio.ensure_future(self._pause(seconds))
        try:
            await asyncio.wait({first, pause}, return_when=asyncio.FIRST_COMPLETED)
            return [first.result(), *_waiting(news)] if first.done() else []
        finally:
            first.cancel()
            pause.cancel()

    async def _commands(self, commands: asyncio.Queue[pb.Command], out: Out) -> None:
        while True:
            command = await commands.get()
            result = pb.CommandResult(id=command.id)
            try:
                arguments = json.loads(command.arguments or "{}")
                if not isinstance(arguments, dict):
                    raise AgentError("arguments must be a JSON object")
                async with asyncio.timeout(COMMAND_S):
                    result.json = json.dumps(await self._node.answer(command.name, arguments))
            except (AgentError, DatapathError, ValueError, TimeoutError) as error:
                result.error = str(error) or f"{command.name} took longer than {COMMAND_S:.0f} s"
            await out.put(pb.FromAgent(result=result))

    async def _report(self, out: Out) -> None:
        """Status when it changes and every few seconds."""
        last: Status | None = None
        age = STATUS_EVERY_S
        while True:
            status = self._node.status()
            if status != last or age >= STATUS_EVERY_S:
                last, age = status, 0.0
                message = pb.NodeStatus(
                    enforced_revision=status.enforced_revision,
                    state=status.state,
                    warnings=status.warnings,
                    endpoints=status.endpoints,
                    endpoints_enforced=status.endpoints_enforced,
                    proxy_workers=status.proxy_workers,
                )
                await out.put(pb.FromAgent(status=message))
            await asyncio.sleep(STATUS_LOOK_S)
            age += STATUS_LOOK_S

    async def _flows(self, out: Out) -> None:
        while True:
            records, lost = self._node.take_flows(FLOW_BATCH)
            if records or lost:
                batch = pb.FlowBatch(flows=[codec.flow_to_pb(record) for record in records], lost=lost)
                await out.put(pb.FromAgent(flows=batch))
            if len(records) < FLOW_BATCH:
                await asyncio.sleep(FLOW_EVERY_S)

    async def _write(self, call: Any, out: Out) -> None:
        while True:
            message = await out.get()
            try:
                if message is None:
                    await call.done_writing()
                    await asyncio.Event().wait()  # others may still have something to say
                await call.write(message)
            except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
                raise StreamEnded("the stream has ended") from error


def _waiting(news: asyncio.Queue[NodeSnapshot | Delta]) -> list[NodeSnapshot | Delta]:
    found: list[NodeSnapshot | Delta] = []
    while not news.empty():
        found.append(news.get_nowait())
    return found


async def _heard(call: Any, out: Out) -> None:
    """Let a nack arrive before the stream ends: what is cancelled is thrown away at the other end, read or not. The
    controller ends a stream when it has heard everything."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            await out.put(None)
            await call.code()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The most telling one: our own words before the library's."""
    leaves: list[BaseException] = []

    def walk(item: BaseException) -> None:
        if isinstance(item, BaseExceptionGroup):
            for part in item.exceptions:
                walk(part)
        else:
            leaves.append(item)

    walk(group)
    return next((leaf for leaf in leaves if isinstance(leaf, AgentError)), leaves[0])
