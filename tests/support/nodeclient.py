"""A node as the controller sees it, for tests of what it accepts: joins by the real `python -m agent.join`, then speaks
on its certificate, truthfully or not.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from agent.join import SERVER_NAME, key_of, request_for
from mesh.api import features, mesh_pb2_grpc
from mesh.api import mesh_pb2 as pb
from tests.support import machine
from tests.support.cluster import Outcome
from tests.support.controlplane import ControllerProcess

OPTIONS = (("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.enable_http_proxy", 0))
PATIENCE_S = 300.0
"""A stream lives as long as the test that looks at it."""


def join(node: str, port: int, token: str, state: Path, how: tuple[str, ...] = ()) -> Outcome:
    """As the agent calls it: the token on standard input."""
    asked = {"node": node, "host": "127.0.0.1", "port": port, "state": str(state), "token": token}
    return machine.run(how, "agent.join", stdin=json.dumps(asked) + "\n")


@dataclass
class Stream:
    """One Sync stream. What comes is awaited with `hear`."""

    call: Any
    outbox: queue.SimpleQueue[pb.FromAgent | None]
    refusal: str = ""
    revision: int = 0

    def hear(self) -> str:
        """The kind of the next message."""
        message = next(self.call)
        kind = str(message.WhichOneof("message"))
        if kind == "refused":
            self.refusal = message.refused
        elif kind in ("snapshot", "delta"):
            self.revision = getattr(message, kind).revision
        return kind

    def ack(self) -> None:
        self.outbox.put(pb.FromAgent(ack=pb.Ack(revision=self.revision)))


@dataclass(frozen=True)
class NodeClient:
    name: str
    port: int
    state: Path
    key: Any = field(repr=False)

    @classmethod
    def unknown(cls, name: str, port: int, state: Path) -> NodeClient:
        """One who has a key and nothing else."""
        state.mkdir(exist_ok=True)
        return cls(name, port, state, key_of(state / "node.key"))

    @classmethod
    def joined(cls, name: str, control: ControllerProcess, state: Path) -> NodeClient:
        node = cls.unknown(name, control.port, state)
        done = join(name, control.port, control.token(), state)
        assert done.status == 0, done.err
        return node

    def credentials(self) -> grpc.ChannelCredentials:
        ca, key, certificate = ((self.state / name).read_bytes() for name in ("ca.crt", "node.key", "node.crt"))
        return grpc.ssl_channel_credentials(ca, key, certificate)

    @contextmanager
    def stub(self, credentials: grpc.ChannelCredentials | None) -> Iterator[Any]:
        target = f"127.0.0.1:{self.port}"
        channel = (
            grpc.insecure_channel(target, OPTIONS)
            if credentials is None
            else grpc.secure_channel(target, credentials, OPTIONS)
        )
        with channel:
            yield mesh_pb2_grpc.MeshStub(channel)  # type: ignore[no-untyped-call]  # generated without types

    def renew(self, *, name: str = "", credentials: grpc.ChannelCredentials | None | str = "own") -> None:
        """Ask for a certificate without a token, by the one at hand; `credentials` None is plaintext."""
        used = self.credentials() if isinstance(credentials, str) else credentials
        with self.stub(used) as stub:
            request = pb.JoinRequest(node=name or self.name, csr=request_for(self.key, self.name))
            stub.Join(request, timeout=PATIENCE_S)

    @contextmanager
    def stream(self, *, hello_as: str = "") -> Iterator[Stream]:
        hello = pb.Hello(node=hello_as or self.name, version=features.VERSION, features=features.FEATURES)
        outbox: queue.SimpleQueue[pb.FromAgent | None] = queue.SimpleQueue()
        outbox.put(pb.FromAgent(hello=hello))
        with self.stub(self.credentials()) as stub:
            call = stub.Sync(iter(outbox.get, None), timeout=PATIENCE_S)
            try:
                yield Stream(call, outbox)
            finally:
                outbox.put(None)
                call.cancel()
