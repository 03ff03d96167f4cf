"""The servers for agents: Join, and Sync (one stream per agent). Moves messages; decides nothing.

What to send is decided by `controller.session`, who may join and who may have a stream by `controller.ca.attestation`,
which records a node is believed by `controller.flows`. A stream ends with a reason: `refused` where the node has to do
something about it, UNAVAILABLE where this controller stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import grpc
import grpc.aio

from controller.ca import tokens
from controller.ca.attestation import objection_to_join, objection_to_renewal, objection_to_stream
from controller.ca.authority import Authority, NodePeer, read_request
from controller.errors import JoinRefused, StoreError
from controller.fleet import Fleet, Link, Report
from controller.flows import Flows, own_flows
from controller.publisher import Publisher
from controller.server_tls import is_tls13, node_peer
from controller.session import NodeSession, ProtocolViolation
from controller.snapshot import ClusterView, node_snapshot
from controller.store import Store, StoredNode
from controller.telemetry import Telemetry
from mesh.api import codec, features, mesh_pb2_grpc
from mesh.api import mesh_pb2 as pb
from mesh.model import FlowRecord, Revision
from mesh.snapshot import Delta

log = logging.getLogger(__name__)

HELLO_S = 10.0
REASON_LIMIT = 2000
"""Characters of an agent's text that are kept."""
FLOW_BYTES = 8 << 10
"""Of one flow record: the ring holds a hundred thousand of them."""

Context = grpc.aio.ServicerContext[Any, Any]
Stream = AsyncIterator[pb.FromAgent]


class _StreamOver(Exception):
    """The stream has ended, or has to; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshParts:
    """What the service speaks for."""

    store: Store
    authority: Authority
    fleet: Fleet
    flows: Flows
    publisher: Publisher
    telemetry: Telemetry
    node_certificate: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class JoinService(mesh_pb2_grpc.MeshServicer):
    """On the port without client certificates: joins with a token, nothing else."""

    def __init__(self, parts: MeshParts) -> None:
        self._parts = parts

    async def Join(self, request: pb.JoinRequest, context: Context) -> pb.JoinReply:
        return await _join(self._parts, request, None, context)

    async def Sync(self, request_iterator: Stream, context: Context) -> None:
        await _refuse(context, "this port takes joins alone; Sync is on the port below, with a certificate")


class MeshService(mesh_pb2_grpc.MeshServicer):
    """On the port with client certificates: the agents' streams, and renewals."""

    def __init__(self, parts: MeshParts) -> None:
        self._parts = parts

    async def Join(self, request: pb.JoinRequest, context: Context) -> pb.JoinReply:
        peer = node_peer(context.auth_context(), self._parts.authority)
        if peer is None:
            await _refuse(context, "renewal needs the certificate of a node")
        return await _join(self._parts, request, peer, context)

    async def Sync(self, request_iterator: Stream, context: Context) -> None:
        parts = self._parts
        try:
            peer, hello = await self._greeted(request_iterator, context)
            link = self._linked(peer, hello)
        except _StreamOver as over:
            parts.telemetry.stream("refused")
            log.warning("stream refused: %s", over)
            with contextlib.suppress(_StreamOver):
                await _write(context, pb.FromController(refused=str(over)))
            return
        parts.telemetry.stream("opened")
        log.info("node %s connected, version %s, holds revision %s", link.node, hello.version, hello.revision)
        try:
            self._count_nodes()
            await self._converse(request_iterator, context, link, peer)
        finally:
            parts.fleet.disconnect(link)
            self._count_nodes()

    async def _greeted(self, stream: Stream, context: Context) -> tuple[NodePeer, pb.Hello]:
        """The verified peer and its hello. Raises _StreamOver with the refusal."""
        if not is_tls13(context.auth_context()):
            raise _StreamOver("TLS 1.3 is required")
        peer = node_peer(context.auth_context(), self._parts.authority)
        if peer is None:
            raise _StreamOver("the certificate is not that of a node of this cluster; join with a token")
        try:
            async with asyncio.timeout(HELLO_S):
                first = await anext(stream, None)
        except TimeoutError:
            raise _StreamOver(f"no hello within {HELLO_S:g} s") from None
        if first is None or first.WhichOneof("message") != "hello":
            raise _StreamOver("the first message must be a hello")
        hello: pb.Hello = first.hello
        if hello.node != peer.node:
            raise _StreamOver(f"the certificate is that of node {peer.node}, the hello says {hello.node[:253]!r}")
        objection = features.objection(hello.version, hello.features)
        if objection:
            raise _StreamOver(f"node {peer.node}: {objection}")
        return peer, hello

    def _linked(self, peer: NodePeer, hello: pb.Hello) -> Link:
        objection = objection_to_stream(
            node=peer.node, key_hash=peer.key_hash, registered=self._parts.store.node(peer.node)
        )
        if objection:
            raise _StreamOver(objection)
        link = self._parts.fleet.connect(peer.node, peer.key_hash, features.shared(hello.features), hello.revision)
        if isinstance(link, str):
            raise _StreamOver(link)
        return link

    async def _converse(self, stream: Stream, context: Context, link: Link, peer: NodePeer) -> None:
        left_s = (peer.expires - self._parts.now()).total_seconds()
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(max(0.0, left_s), link.close, "the node's certificate has expired; renew it")
        ends: list[str] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                welcome = pb.Welcome(version=features.VERSION, features=link.features)
                await _write(context, pb.FromController(welcome=welcome))
                tasks.create_task(self._listen(stream, link), name=f"listen-{link.node}")
                await self._speak(context, link)
                if not link.stopping:
                    await _write(context, pb.FromController(refused=link.closing))
                raise _StreamOver(link.closing)
        except* _StreamOver as over:
            ends = [str(end) for end in over.exceptions]
        finally:
            expiry.cancel()
        log.info("node %s: stream closed: %s", link.node, ends[0])
        if link.stopping:
            await context.abort(grpc.StatusCode.UNAVAILABLE, link.closing)

    # ---- from controller to agent ---------------------------------------------------------------------------------

    async def _speak(self, context: Context, link: Link) -> None:
        """Send what there is to send, until the link is to be closed."""
        while not link.closing:
            link.wake.clear()
            await self._send_questions(context, link)
            view = self._parts.publisher.view
            if view is not None and not link.session.waiting and link.session.acked != view.revision:
                form, message = await asyncio.to_thread(_prepare, link.session, view, link.node)
                if message is not None:
                    await _write(context, message)
                    self._parts.telemetry.sent(form)
            await link.wake.wait()

    async def _send_questions(self, context: Context, link: Link) -> None:
        while link.questions:
            question = link.questions.pop(0)
            if features.COMMANDS not in link.features:
                link.answer(question.id, "", f"node {link.node} does not know commands; install {features.VERSION}")
                continue
            command = pb.Command(id=question.id, name=question.name, arguments=question.arguments)
            await _write(context, pb.FromController(command=command))
            self._parts.telemetry.sent("command")

    # ---- from agent to controller ---------------------------------------------------------------------------------

    async def _listen(self, stream: Stream, link: Link) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                message = await anext(stream, None)
            except Exception as error:
                # A connection that breaks comes as one of several private exceptions of gRPC.
                raise _StreamOver(f"stream broke: {type(error).__name__}") from error
            if message is None:
                raise _StreamOver("stream ended by the agent")
            link.heard_at = loop.time()
            try:
                self._take(link, message)
            except ProtocolViolation as violation:
                link.close(f"the agent {violation}")
                # `_speak` says it and ends the stream.
                await asyncio.Event().wait()

    def _take(self, link: Link, message: pb.FromAgent) -> None:
        match message.WhichOneof("message"):
            case "ack":
                link.session.ack(message.ack.revision)
                self._parts.telemetry.answered("ack")
                link.wake.set()
            case "nack":
                reason = message.nack.reason[:REASON_LIMIT]
                link.session.nack(message.nack.revision, reason)
                log.warning("node %s refused revision %s: %r", link.node, message.nack.revision, reason)
                self._parts.telemetry.answered("nack")
                link.wake.set()
            case "flows":
                self._take_flows(link, message.flows)
            case "result":
                result = message.result
                link.answer(result.id, result.json, result.error[:REASON_LIMIT])
            case "status":
                link.report = _report(message.status)
            case other:
                raise ProtocolViolation(f"sent {other or 'a message that is not known here'} after its hello")

    def _take_flows(self, link: Link, batch: pb.FlowBatch) -> None:
        records, objections = _read_flows(batch.flows)
        records, foreign = own_flows(records, link.node, self._node_of)
        objections += foreign
        if objections:
            # What the node sent is quoted: it must not forge lines of this log. Once for a batch, not a line each.
            log.warning(
                "node %s sent %d flow records that are not taken: %r", link.node, len(objections), objections[0][:200]
            )
        lost = batch.lost + len(objections)
        self._parts.flows.add(link.node, records, lost)
        self._parts.telemetry.flows(len(records), lost)

    def _node_of(self, pod: str) -> str | None:
        view = self._parts.publisher.view
        found = view.policy.pods.get(pod) if view is not None else None
        return found.node if found is not None else None

    def _count_nodes(self) -> None:
        connected = len(self._parts.fleet.links)
        try:
            joined = len(self._parts.store.nodes())
        except StoreError:
            return
        self._parts.telemetry.nodes(connected, max(0, joined - connected))


def _read_flows(flows: Iterable[pb.Flow]) -> tuple[list[FlowRecord], list[str]]:
    """Records, and what is wrong with those that are none."""
    records: list[FlowRecord] = []
    objections: list[str] = []
    for flow in flows:
        if flow.ByteSize() > FLOW_BYTES:
            objections.append(f"longer than {FLOW_BYTES} bytes")
            continue
        try:
            records.append(codec.flow_from_pb(flow))
        except codec.CodecError as error:
            objections.append(str(error))
    return records, objections


async def _write(context: Context, message: pb.FromController) -> None:
    try:
        await context.write(message)
    except Exception as error:
        raise _StreamOver(f"stream broke: {type(error).__name__}") from error


def _prepare(session: NodeSession, view: ClusterView, node: str) -> tuple[str, pb.FromController | None]:
    """The next snapshot or delta as a message. Runs in a thread: a snapshot of a big cluster takes a while."""
    offered = session.offer(node_snapshot(view, node))
    if offered is None:
        return "", None
    if isinstance(offered, Delta):
        return "delta", pb.FromController(delta=codec.delta_to_pb(offered))
    return "snapshot", pb.FromController(snapshot=codec.snapshot_to_pb(offered))


def _report(status: pb.NodeStatus) -> Report:
    return Report(
        enforced=Revision(status.enforced_revision),
        state=status.state[:REASON_LIMIT],
        warnings=tuple(warning[:REASON_LIMIT] for warning in status.warnings[:100]),
        endpoints=status.endpoints,
        endpoints_enforced=status.endpoints_enforced,
        proxy_workers=status.proxy_workers,
    )


async def _join(parts: MeshParts, request: pb.JoinRequest, peer: NodePeer | None, context: Context) -> pb.JoinReply:
    """A certificate for a node, with a token or (`peer`) with the certificate that it has."""
    if not is_tls13(context.auth_context()):
        await _refuse(context, "TLS 1.3 is required")
    try:
        reply = _certified(parts, request, peer)
    except JoinRefused as refused:
        parts.telemetry.joined("refused")
        log.warning("join of node %r refused: %s", request.node[:253], refused)
        await _refuse(context, str(refused))
    except StoreError as error:
        parts.telemetry.joined("failed")
        log.error("join of node %r failed: %s", request.node[:253], error)
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
    parts.telemetry.joined("renewed" if peer else "joined")
    log.info("node %s %s", request.node, "renewed its certificate" if peer else "joined")
    return reply


def _certified(parts: MeshParts, request: pb.JoinRequest, peer: NodePeer | None) -> pb.JoinReply:
    # No await in here: two nodes that claim one name come one after the other.
    signing = read_request(request.csr)
    now = parts.now()
    registered = parts.store.node(request.node)
    if peer is not None:
        objection = objection_to_renewal(
            node=request.node, peer_node=peer.node, peer_key_hash=peer.key_hash, registered=registered
        )
        used = ""
    else:
        presented = tokens.read(request.token)
        objection = objection_to_join(
            node=request.node,
            key_hash=signing.key_hash,
            presented=presented,
            token=parts.store.token(presented.name) if presented else None,
            registered=registered,
            now_s=int(now.timestamp()),
        )
        used = presented.name if presented and registered is None else ""
    if objection:
        raise JoinRefused(objection)
    certificate = parts.authority.issue_node(request.node, signing, parts.node_certificate, now)
    joined = registered.joined if registered is not None else now.strftime("%Y-%m-%dT%H:%M:%SZ")
    parts.store.put_node(StoredNode(name=request.node, key_hash=signing.key_hash, joined=joined), token=used)
    return pb.JoinReply(certificate=certificate, trust_bundle=parts.authority.bundle)


async def _refuse(context: Context, reason: str) -> NoReturn:
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, reason)
    raise AssertionError("abort raises")
