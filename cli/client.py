"""The controller's Admin service, as plain values. The command's only user of gRPC, imported when a command asks.

Every call has a deadline except the streams that a person follows. An error of the transport becomes `Unreachable`, an
error of the question `Refused`: no gRPC type leaves this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import grpc

from cli import sockets
from cli.document import Json
from cli.errors import NotThere, Problem, Refused, Unreachable
from cli.target import Target
from mesh.api import mesh_pb2 as pb
from mesh.api import mesh_pb2_grpc as pb_grpc
from mesh.api.codec_question import CheckQuestion, question_to_pb

DEADLINE_S = 20.0
LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),
    ("grpc.default_authority", "localhost"),
]
_CANNOT_REACH = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED}
_REFUSED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.OUT_OF_RANGE,
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """Text of objects and where it came from."""

    file: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    verb: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What apply or delete did. Refusals are raised."""

    revision: int
    changes: tuple[Change, ...]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReply:
    """One node's answer to a command: a value, or the reason why there is none."""

    node: str
    value: object = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowQuestion:
    """Filters of `observe`; empty ones ask nothing."""

    follow: bool = False
    since_ns: int = 0
    source: str = ""
    destination: str = ""
    verdict: str = ""
    http_status: tuple[str, ...] = ()
    limit: int = 0
    namespace: str = ""


class Admin:
    """A connection to one controller; use it as a context."""

    def __init__(self, target: Target) -> None:
        self._target = target
        # Asked first by hand: gRPC would retry until the deadline and then not say what is wrong.
        sockets.connect(target.admin_socket, component="controller", target=target).close()
        self._channel = grpc.insecure_channel(f"unix:{target.admin_socket}", options=_OPTIONS)
        self._stub = pb_grpc.AdminStub(self._channel)  # type: ignore[no-untyped-call]  # generated code has no types

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def apply(self, manifests: Sequence[Manifest], *, dry_run: bool = False) -> Applied:
        documents = [pb.Document(file=manifest.file, text=manifest.text) for manifest in manifests]
        with self._translated():
            return _applied(self._stub.Apply(pb.ApplyRequest(documents=documents, dry_run=dry_run), timeout=DEADLINE_S))

    def delete(self, manifests: Sequence[Manifest], *, ignore_missing: bool = False) -> Applied:
        documents = [pb.Document(file=manifest.file, text=manifest.text) for manifest in manifests]
        request = pb.DeleteRequest(documents=documents, ignore_missing=ignore_missing)
        with self._translated():
            return _applied(self._stub.Delete(request, timeout=DEADLINE_S))

    def delete_object(self, kind: str, namespace: str, name: str, *, ignore_missing: bool = False) -> Applied:
        request = pb.DeleteRequest(kind=kind, namespace=namespace, name=name, ignore_missing=ignore_missing)
        with self._translated():
            return _applied(self._stub.Delete(request, timeout=DEADLINE_S))

    def get(self, kind: str, *, namespace: str = "", name: str = "") -> list[Json]:
        """Objects of a kind; of every namespace where none is given. An absent NAME gives an empty list."""
        request = pb.GetRequest(kind=kind, namespace=namespace, name=name, all_namespaces=not namespace)
        try:
            with self._translated():
                return [_object(text) for text in self._stub.Get(request, timeout=DEADLINE_S).objects]
        except NotThere:
            return []

    def watch(self, kinds: Sequence[str]) -> Iterator[tuple[str, Json]]:
        """("put" | "remove" | "synced", object), until the caller stops."""
        with self._translated():
            for event in self._stub.Watch(pb.WatchRequest(kinds=kinds)):
                yield event.verb, _object(event.object) if event.object else {}

    def status(self) -> Json:
        with self._translated():
            return _object(self._stub.Status(pb.StatusRequest(), timeout=DEADLINE_S).json)

    def policy_show(self, namespace: str, pod: str) -> Json:
        request = pb.PolicyShowRequest(namespace=namespace, pod=pod)
        with self._translated():
            return _object(self._stub.PolicyShow(request, timeout=DEADLINE_S).json)

    def policy_check(self, question: CheckQuestion) -> Json:
        try:
            with self._translated():
                return _object(self._stub.PolicyCheck(question_to_pb(question), timeout=DEADLINE_S).json)
        except NotThere as error:
            # Not 1: to a script that expects a verdict, 1 means that the verdict is another.
            raise Refused([Problem(reason=error.message)]) from error

    def observe(self, question: FlowQuestion) -> Iterator[Json]:
        """Flow records, oldest first; without `follow` it ends."""
        request = pb.ObserveRequest(
            follow=question.follow,
            since_ns=question.since_ns,
            source=question.source,
            destination=question.destination,
            verdict=question.verdict,
            http_status=question.http_status,
            limit=question.limit,
            namespace=question.namespace,
        )
        with self._translated():
            for answer in self._stub.Observe(request, timeout=None if question.follow else DEADLINE_S):
                value = json.loads(answer.json)
                yield from value if isinstance(value, list) else [value]

    def identities(self) -> list[Json]:
        with self._translated():
            answer = self._stub.Identities(pb.IdentitiesRequest(), timeout=DEADLINE_S)
            return _list(json.loads(answer.json), "identities")

    def node_command(self, name: str, arguments: Json, *, node: str = "") -> list[NodeReply]:
        """What each connected node answers, or the one that is named."""
        request = pb.NodeCommandRequest(node=node, name=name, arguments=json.dumps(arguments))
        with self._translated():
            return [
                NodeReply(node=reply.node, value=json.loads(reply.json) if reply.json else None, error=reply.error)
                for reply in self._stub.NodeCommand(request, timeout=DEADLINE_S)
            ]

    def create_token(self, *, node: str, ttl_s: int, uses: int) -> str:
        """A join token; for any node where none is named, with the controller's own lifetime where `ttl_s` is 0."""
        request = pb.CreateTokenRequest(node=node, ttl_s=ttl_s, uses=uses)
        with self._translated():
            return str(self._stub.CreateToken(request, timeout=DEADLINE_S).token)

    def tokens(self) -> list[Json]:
        with self._translated():
            return _list(json.loads(self._stub.ListTokens(pb.ListTokensRequest(), timeout=DEADLINE_S).json), "tokens")

    def delete_token(self, token_id: str) -> None:
        with self._translated():
            self._stub.DeleteToken(pb.DeleteTokenRequest(id=token_id), timeout=DEADLINE_S)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            code, detail = _code_and_detail(error)
            if code is grpc.StatusCode.NOT_FOUND:
                raise NotThere(detail) from error
            if code in _REFUSED:
                raise Refused([Problem(reason=line) for line in detail.splitlines()]) from error
            raise Unreachable(self._failure(code, detail)) from error

    def _failure(self, code: grpc.StatusCode, detail: str) -> str:
        where = f"the controller{self._target.whose} at {self._target.admin_socket}"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{where} did not answer within {DEADLINE_S:g} s; it is overloaded or stuck, see its log"
        if code in _CANNOT_REACH:
            return f"{where} does not answer: {detail}"
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return f"{where} could not do it: {detail}"
        return f"{where} failed: {detail}; its log says more"


def _code_and_detail(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Every error of a call is a `grpc.Call` too, which gRPC's types do not say."""
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    detail = error.details() if hasattr(error, "details") else str(error)
    return code, detail or code.name


def rows_of(replies: Iterable[NodeReply], *keys: str) -> tuple[list[Json], list[NodeReply]]:
    """Rows of all nodes, each with its `node`, and the replies that are errors."""
    found: list[Json] = []
    failed: list[NodeReply] = []
    for reply in replies:
        if reply.error:
            failed.append(reply)
        else:
            found += [{"node": reply.node, **row} for row in _list(reply.value, *keys)]
    return found, failed


def _applied(reply: pb.ApplyReply) -> Applied:
    if reply.refused:
        raise Refused([_problem(problem) for problem in reply.refused])
    return Applied(
        revision=reply.revision,
        changes=tuple(
            Change(verb=change.verb, kind=change.kind, namespace=change.namespace, name=change.name)
            for change in reply.changes
        ),
        warnings=tuple(_problem(problem) for problem in reply.warnings),
    )


def _problem(problem: pb.Problem) -> Problem:
    return Problem(
        file=problem.file, object=problem.object, field=problem.field, reason=problem.reason, line=problem.line
    )


def _object(text: str) -> Json:
    value = json.loads(text)
    return value if isinstance(value, dict) else {"items": value}


def _list(value: object, *keys: str) -> list[Json]:
    """Rows: the answer itself, or the list below the first of `keys` that it has."""
    if isinstance(value, dict):
        value = next((value[key] for key in keys if key in value), [])
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
