"""A controller's Admin service with answers laid down beforehand: real gRPC on a real unix socket, no controller.

A test fills the fields of `FakeAdmin`, runs a command against `address`, and looks at `requests`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from mesh.api import mesh_pb2 as pb
from mesh.api import mesh_pb2_grpc as pb_grpc

Json = dict[str, Any]


@dataclass
class FakeAdmin(pb_grpc.AdminServicer):
    """Answers as told, and remembers what it was asked."""

    objects: list[Json] = field(default_factory=list)
    events: list[tuple[str, Json]] = field(default_factory=list)
    """What Watch sends after `synced`; then it ends."""
    status: Json = field(default_factory=lambda: {"controller": {}, "nodes": [], "objects": {}, "settled": True})
    statuses: list[Json] = field(default_factory=list)
    """Answers of Status to give first, one each."""
    show: Json = field(default_factory=dict)
    check: Json = field(default_factory=dict)
    flows: list[Json] = field(default_factory=list)
    identities: list[Json] = field(default_factory=list)
    tokens: list[Json] = field(default_factory=list)
    node_answers: list[Json] = field(default_factory=list)
    """{"node", "json" or "error"}."""
    reply: pb.ApplyReply = field(default_factory=pb.ApplyReply)
    error: tuple[grpc.StatusCode, str] | None = None
    """Every call fails with it."""
    show_error: tuple[grpc.StatusCode, str] | None = None
    """PolicyShow fails with it."""
    requests: list[Any] = field(default_factory=list)
    path: Path = Path()

    @property
    def address(self) -> str:
        return f"unix:{self.path}"

    def _asked(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        if self.error is not None:
            context.abort(*self.error)

    def Apply(self, request: Any, context: Any) -> pb.ApplyReply:
        self._asked(request, context)
        return self.reply

    Delete = Apply

    def Get(self, request: Any, context: Any) -> pb.GetReply:
        self._asked(request, context)
        found = [
            item
            for item in self.objects
            if item["kind"] == request.kind
            and (not request.namespace or item["metadata"].get("namespace") == request.namespace)
            and (not request.name or item["metadata"]["name"] == request.name)
        ]
        return pb.GetReply(objects=[json.dumps(item) for item in found], revision=1)

    def Watch(self, request: Any, context: Any) -> Iterator[pb.WatchEvent]:
        self._asked(request, context)
        for item in self.objects:
            yield pb.WatchEvent(verb="put", object=json.dumps(item))
        yield pb.WatchEvent(verb="synced")
        for verb, item in self.events:
            yield pb.WatchEvent(verb=verb, object=json.dumps(item))

    def Status(self, request: Any, context: Any) -> pb.Answer:
        self._asked(request, context)
        return pb.Answer(json=json.dumps(self.statuses.pop(0) if self.statuses else self.status))

    def PolicyShow(self, request: Any, context: Any) -> pb.Answer:
        self._asked(request, context)
        if self.show_error is not None:
            context.abort(*self.show_error)
        return pb.Answer(json=json.dumps(self.show))

    def PolicyCheck(self, request: Any, context: Any) -> pb.Answer:
        self._asked(request, context)
        return pb.Answer(json=json.dumps(self.check))

    def Observe(self, request: Any, context: Any) -> Iterator[pb.Answer]:
        self._asked(request, context)
        for flow in self.flows:
            yield pb.Answer(json=json.dumps(flow))

    def Identities(self, request: Any, context: Any) -> pb.Answer:
        self._asked(request, context)
        return pb.Answer(json=json.dumps(self.identities))

    def NodeCommand(self, request: Any, context: Any) -> Iterator[pb.NodeAnswer]:
        self._asked(request, context)
        for answer in self.node_answers:
            if request.node in ("", answer["node"]):
                yield pb.NodeAnswer(
                    node=answer["node"],
                    json=json.dumps(answer["json"]) if "json" in answer else "",
                    error=answer.get("error", ""),
                )

    def CreateToken(self, request: Any, context: Any) -> pb.CreateTokenReply:
        self._asked(request, context)
        return pb.CreateTokenReply(token="name.secret.hash")

    def ListTokens(self, request: Any, context: Any) -> pb.Answer:
        self._asked(request, context)
        return pb.Answer(json=json.dumps({"tokens": self.tokens}))

    def DeleteToken(self, request: Any, context: Any) -> pb.DeleteTokenReply:
        self._asked(request, context)
        if request.id not in [token["id"] for token in self.tokens]:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no join token {request.id}")
        return pb.DeleteTokenReply()


@contextmanager
def serving(fake: FakeAdmin) -> Iterator[FakeAdmin]:
    """Serve on a socket below /tmp: its path must stay short (108 characters)."""
    with tempfile.TemporaryDirectory(prefix="weft-admin-") as scratch, ThreadPoolExecutor(4) as pool:
        fake.path = Path(scratch) / "admin.sock"
        server = grpc.server(pool)
        pb_grpc.add_AdminServicer_to_server(fake, server)  # type: ignore[no-untyped-call]  # generated code has no types
        server.add_insecure_port(fake.address)
        server.start()
        try:
            yield fake
        finally:
            server.stop(grace=None).wait()
