"""The controller's Admin service as the lab uses it: apply, delete, watch, status, tokens. The only home of gRPC here.

The socket is the lab's own. A call that fails because the controller restarts is for the caller to repeat; it is
told so by `ControllerAway`. Objects travel as JSON documents.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from mesh.api import mesh_pb2 as pb
from mesh.api import mesh_pb2_grpc as pb_grpc

_DEADLINE_S = 15.0
_GLANCE_S = 2.0
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
    ("grpc.default_authority", "localhost"),
    # the controller may be restarted at any time: look for it again at once
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class ControllerAway(RuntimeError):
    """The controller did not answer."""


class Refused(RuntimeError):
    """The controller refused what was applied. `problems` are lines for a person."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one object; `verb` is put, remove or synced."""

    verb: str
    document: dict[str, Any] | None


class ControlPlane:
    """A connection to the controller's admin socket."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        self._stub = pb_grpc.AdminStub(self._channel)  # type: ignore[no-untyped-call]  # generated code has no types

    async def close(self) -> None:
        await self._channel.close(None)

    async def ready(self) -> bool:
        try:
            await self._stub.Status(pb.StatusRequest(), timeout=_GLANCE_S)
        except grpc.aio.AioRpcError:
            return False
        return True

    async def status(self) -> dict[str, Any]:
        answer = await self._call(self._stub.Status, pb.StatusRequest())
        return dict(json.loads(answer.json))

    async def create_token(self, node: str) -> str:
        reply = await self._call(self._stub.CreateToken, pb.CreateTokenRequest(node=node))
        return str(reply.token)

    async def apply_texts(self, files: Iterable[tuple[str, str]]) -> list[str]:
        """What the user gave, all or nothing. The warnings; Refused carries the problems."""
        documents = [pb.Document(file=file, text=text) for file, text in files]
        return await self._apply(pb.ApplyRequest(documents=documents))

    async def write(self, documents: Sequence[dict[str, Any]]) -> None:
        """What a kubelet, a scheduler and the cluster's own controllers write."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        request = pb.ApplyRequest(documents=[pb.Document(file="lab", text=json.dumps(listed))], status=True)
        await self._apply(request)

    async def _apply(self, request: pb.ApplyRequest) -> list[str]:
        reply = await self._call(self._stub.Apply, request)
        if reply.refused:
            raise Refused([_line(problem) for problem in reply.refused])
        return [_line(problem) for problem in reply.warnings]

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        request = pb.DeleteRequest(kind=kind, namespace=namespace, name=name, ignore_missing=True)
        reply = await self._call(self._stub.Delete, request)
        if reply.refused:
            raise Refused([_line(problem) for problem in reply.refused])

    async def watch(self, kinds: Sequence[str]) -> AsyncIterator[Event]:
        """All objects of these kinds, then `synced`, then every change. Ends by ControllerAway."""
        try:
            async for event in self._stub.Watch(pb.WatchRequest(kinds=list(kinds))):
                yield Event(event.verb, json.loads(event.object) if event.object else None)
        except grpc.aio.AioRpcError as error:
            raise ControllerAway(f"watch: {error.details()}") from error
        raise ControllerAway("watch: the controller ended the stream")

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION):
                raise Refused([str(error.details())]) from error
            raise ControllerAway(f"{error.code().name}: {error.details()}") from error


def _line(problem: pb.Problem) -> str:
    parts = [problem.file, problem.object, problem.field, problem.reason]
    return ": ".join(part for part in parts if part)
