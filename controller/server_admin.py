"""The admin API on a unix socket: what the command line and the lab ask for. Moves messages; decides nothing.

Whoever can open the socket (root) may do everything. Input that is refused comes back in the reply, problem by problem;
a question that makes no sense is INVALID_ARGUMENT, something that is not there NOT_FOUND, each with a sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from controller import simulate, status
from controller.ca import issue
from controller.ca.authority import Authority
from controller.directory import DirectorySource
from controller.errors import BadQuestion, ControllerError, NoSuchThing, StoreError, StoreFull
from controller.fleet import CommandFailed, Fleet
from controller.flows import End, FlowFilter, Flows
from controller.intake import Document, Intake, Outcome
from controller.intent import KUBELET, USER, Entry
from controller.kinds import DEFAULT_NAMESPACE, id_of, kinds_of
from controller.publisher import Publisher
from controller.snapshot import ClusterView
from controller.store import Store
from controller.telemetry import Telemetry
from controller.watches import Event
from mesh.api import mesh_pb2 as pb
from mesh.api import mesh_pb2_grpc
from mesh.api.answers import flow_to_json
from mesh.api.codec_question import question_from_pb
from mesh.model import Verdict
from mesh.objects.errors import ObjectsRefused, Problem

log = logging.getLogger(__name__)

COMMAND_S = 20.0

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminParts:
    """What the service speaks for."""

    store: Store
    authority: Authority
    intake: Intake
    publisher: Publisher
    fleet: Fleet
    flows: Flows
    source: DirectorySource | None
    telemetry: Telemetry


class AdminService(mesh_pb2_grpc.AdminServicer):
    def __init__(self, parts: AdminParts) -> None:
        self._parts = parts
        self._started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    # ---- objects --------------------------------------------------------------------------------------------------

    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyReply:
        source = KUBELET if request.status else USER
        try:
            async with _explained(context):
                outcome = await self._parts.intake.apply(
                    _documents(request.documents), source=source, dry_run=request.dry_run
                )
        except ObjectsRefused as refused:
            self._parts.telemetry.applied(source, "refused")
            return self._refused(refused)
        self._parts.telemetry.applied(source, "done")
        return _applied(outcome)

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> pb.ApplyReply:
        try:
            async with _explained(context):
                outcome = await self._parts.intake.delete(
                    [id_of(request.kind, request.namespace, request.name)] if request.kind else [],
                    documents=_documents(request.documents),
                    ignore_missing=request.ignore_missing,
                )
        except ObjectsRefused as refused:
            return self._refused(refused)
        for node in outcome.forgotten:
            self._parts.fleet.forget(node)
        return _applied(outcome)

    def _refused(self, refused: ObjectsRefused) -> pb.ApplyReply:
        return pb.ApplyReply(revision=self._parts.intake.intent.revision, refused=_problems(refused.problems))

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetReply:
        async with _explained(context):
            intent = self._parts.intake.intent
            namespace = None if request.all_namespaces else request.namespace or DEFAULT_NAMESPACE
            found = intent.find(kinds_of(request.kind), namespace, request.name)
        return pb.GetReply(objects=[json.dumps(entry.document()) for entry in found], revision=intent.revision)

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchEvent]:
        intake = self._parts.intake
        async with _explained(context):
            kinds = frozenset(kind for word in request.kinds for kind in kinds_of(word))
        # Followed first, then listed, without a pause between: nothing falls in the gap.
        watch = intake.watches.add(kinds)
        try:
            intent = intake.intent
            for key, entry in list(intent.entries.items()):
                if watch.wants(key):
                    yield _event("put", entry, intent.revision)
            yield pb.WatchEvent(verb="synced", revision=intent.revision)
            while (event := await watch.next()) is not None:
                yield _changed(event)
        finally:
            intake.watches.remove(watch)
        if watch.overflowed:
            self._parts.telemetry.overflowed()
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "this watch fell behind; watch again")

    # ---- questions ------------------------------------------------------------------------------------------------

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.Answer:
        parts = self._parts
        async with _explained(context):
            joined = parts.store.nodes()
        answer = status.status(
            parts.intake.intent, parts.publisher, parts.fleet, parts.source, joined, started=self._started
        )
        return _answer(answer)

    async def PolicyShow(self, request: pb.PolicyShowRequest, context: Context) -> pb.Answer:
        async with _explained(context):
            return _answer(simulate.show(self._view(), request.namespace or "default", request.pod))

    async def PolicyCheck(self, request: pb.PolicyCheckRequest, context: Context) -> pb.Answer:
        question = question_from_pb(request)
        async with _explained(context):
            view, intent = self._view(), self._parts.intake.intent
            return _answer(await asyncio.to_thread(simulate.check, view, intent, question))

    async def Identities(self, request: pb.IdentitiesRequest, context: Context) -> pb.Answer:
        async with _explained(context):
            return _answer(simulate.identities(self._view()))

    def _view(self) -> ClusterView:
        view = self._parts.publisher.view
        if view is None:
            raise ControllerError("nothing is compiled yet; `weft status` says why")
        return view

    async def Observe(self, request: pb.ObserveRequest, context: Context) -> AsyncIterator[pb.Answer]:
        flows = self._parts.flows
        async with _explained(context):
            wanted = _filter(request)
        follower = flows.follow(wanted) if request.follow else None
        try:
            # One who follows and asks for nothing past gets what comes from now on.
            if follower is None or request.since_ns or request.limit:
                for flow in flows.past(wanted, request.limit):
                    yield _answer(flow_to_json(flow))
            while follower is not None and (flow_now := await follower.next()) is not None:
                lost = follower.take_lost()
                if lost:
                    yield _answer({"lost": lost})
                yield _answer(flow_to_json(flow_now))
        finally:
            if follower is not None:
                flows.leave(follower)

    # ---- nodes ----------------------------------------------------------------------------------------------------

    async def NodeCommand(self, request: pb.NodeCommandRequest, context: Context) -> AsyncIterator[pb.NodeAnswer]:
        fleet = self._parts.fleet
        nodes = [request.node] if request.node else sorted(fleet.links)
        async with _explained(context):
            if request.node:
                status.check_node(request.node, self._parts.intake.intent, self._parts.store.nodes())

        async def ask(node: str) -> pb.NodeAnswer:
            try:
                answer = await fleet.ask(node, request.name, request.arguments, COMMAND_S)
            except CommandFailed as failed:
                return pb.NodeAnswer(node=node, error=str(failed))
            return pb.NodeAnswer(node=node, json=answer)

        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask(node), name=f"ask-{node}") for node in nodes]
        for task in asked:
            yield task.result()

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.CreateTokenReply:
        parts = self._parts
        now = int(time.time())
        async with _explained(context):
            token, text = issue.token(
                parts.authority.hash, node=request.node, uses=request.uses, ttl_s=request.ttl_s, now_s=now
            )
            parts.store.put_token(token, now_s=now)
        whom = f"node {token.node}" if token.node else f"{token.most} node(s) of any name"
        log.info("join token %s made for %s", token.name, whom)
        return pb.CreateTokenReply(token=text)

    async def ListTokens(self, request: pb.ListTokensRequest, context: Context) -> pb.Answer:
        now = int(time.time())
        async with _explained(context):
            held = self._parts.store.tokens()
        return _answer({"tokens": [issue.listed(token, now_s=now) for token in held]})

    async def DeleteToken(self, request: pb.DeleteTokenRequest, context: Context) -> pb.DeleteTokenReply:
        async with _explained(context):
            if objection := issue.objection_to_id(request.id):
                raise BadQuestion(objection)
            if not self._parts.store.delete_token(request.id):
                raise NoSuchThing(f"there is no join token {request.id}")
        log.info("join token %s deleted; nodes that joined with it stay", request.id)
        return pb.DeleteTokenReply()


@contextlib.asynccontextmanager
async def _explained(context: Context) -> AsyncIterator[None]:
    """Failures of the controller as gRPC's codes, with their sentence."""
    try:
        yield
    except BadQuestion as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except NoSuchThing as error:
        await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
    except StoreFull as error:
        log.error("%s", error)
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
    except StoreError as error:
        log.error("%s", error)
        await context.abort(grpc.StatusCode.INTERNAL, str(error))
    except ControllerError as error:
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))


def _filter(request: pb.ObserveRequest) -> FlowFilter:
    try:
        return FlowFilter(
            source=End.read(request.source),
            destination=End.read(request.destination),
            verdict=Verdict(request.verdict) if request.verdict else None,
            http_status=tuple(request.http_status),
            namespace=request.namespace,
            since_ns=request.since_ns,
        )
    except ValueError as error:
        raise BadQuestion(str(error)) from None


def _documents(documents: Iterable[pb.Document]) -> list[Document]:
    return [Document(document.file, document.text) for document in documents]


def _problems(problems: Sequence[Problem]) -> Iterator[pb.Problem]:
    for problem in problems:
        yield pb.Problem(
            file=problem.file, object=problem.object, field=problem.field, reason=problem.reason, line=problem.line
        )


def _applied(outcome: Outcome) -> pb.ApplyReply:
    return pb.ApplyReply(
        revision=outcome.revision,
        changes=[
            pb.Change(verb=change.verb, kind=change.id[0], namespace=change.id[1], name=change.id[2])
            for change in outcome.changes
        ],
        warnings=_problems(outcome.warnings),
    )


def _event(verb: str, entry: Entry, revision: int) -> pb.WatchEvent:
    return pb.WatchEvent(verb=verb, object=json.dumps(entry.document()), revision=revision)


def _changed(event: Event) -> pb.WatchEvent:
    return _event("remove" if event.removed else "put", event.entry, event.revision)


def _answer(document: dict[str, Any]) -> pb.Answer:
    return pb.Answer(json=json.dumps(document))
