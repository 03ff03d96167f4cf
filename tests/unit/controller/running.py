"""A whole controller in this process, on 127.0.0.1 with ports of the kernel's choice, and clients as agents are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.app import Controller
from controller.config import ControllerConfig, Listen
from mesh.api import codec, features, mesh_pb2_grpc
from mesh.api import mesh_pb2 as pb
from mesh.snapshot import Delta, NodeSnapshot
from tests.support.waiting import LONGEST_S

OPTIONS = (("grpc.ssl_target_name_override", "weft-controller"), ("grpc.enable_http_proxy", 0))


class NodeKey:
    """A node's key and, once joined, its certificate."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = b""

    @property
    def csr(self) -> bytes:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


class Agent:
    """The other end of a Sync stream."""

    def __init__(self, call: Any, node: str) -> None:
        self.call = call
        self.node = node

    async def say(self, **parts: Any) -> None:
        await self.call.write(pb.FromAgent(**parts))

    async def hello(self, *, node: str = "", version: str = features.VERSION, revision: int = 0) -> None:
        hello = pb.Hello(node=node or self.node, version=version, features=features.FEATURES, revision=revision)
        await self.say(hello=hello)

    async def hear(self) -> pb.FromController | None:
        """The next message; None at the end of the stream."""
        async with asyncio.timeout(LONGEST_S):
            message = await self.call.read()
        return None if message is grpc.aio.EOF else message

    async def expect(self, kind: str) -> Any:
        message = await self.hear()
        assert message is not None, f"expected {kind}, the stream ended"
        assert message.WhichOneof("message") == kind, message
        return getattr(message, kind)

    async def snapshot(self) -> NodeSnapshot:
        return codec.snapshot_from_pb(await self.expect("snapshot"))

    async def delta(self) -> Delta:
        return codec.delta_from_pb(await self.expect("delta"))


@dataclass
class Running:
    controller: Controller
    admin: Any

    async def apply(self, text: str, *, status: bool = False, dry_run: bool = False) -> pb.ApplyReply:
        document = pb.Document(file="test.yaml", text=text)
        request = pb.ApplyRequest(documents=[document], status=status, dry_run=dry_run)
        reply: pb.ApplyReply = await self.admin.Apply(request, timeout=LONGEST_S)
        return reply

    async def status(self) -> dict[str, Any]:
        return dict(json.loads((await self.admin.Status(pb.StatusRequest(), timeout=LONGEST_S)).json))

    async def served(self) -> None:
        """Until nodes are served from the newest revision."""
        await until(lambda: self._is_served())

    async def _is_served(self) -> bool:
        view = self.controller.publisher.view
        return view is not None and view.revision == self.controller.intake.intent.revision

    async def token(self, node: str = "", uses: int = 0) -> str:
        """NAME.SECRET of a new token."""
        reply = await self.admin.CreateToken(pb.CreateTokenRequest(node=node, uses=uses), timeout=LONGEST_S)
        return str(reply.token).rpartition(".")[0]

    async def join(self, node: NodeKey, token: str, *, name: str = "") -> NodeKey:
        """Join on the open port. grpc.aio.AioRpcError carries a refusal."""
        credentials = grpc.ssl_channel_credentials(self.controller.authority.bundle)
        target = f"127.0.0.1:{self.controller.servers.join_port}"
        async with grpc.aio.secure_channel(target, credentials, options=OPTIONS) as channel:
            request = pb.JoinRequest(node=name or node.name, token=token, csr=node.csr)
            reply = await mesh_pb2_grpc.MeshStub(channel).Join(request, timeout=LONGEST_S)
        node.certificate = reply.certificate
        return node

    @asynccontextmanager
    async def stub(self, node: NodeKey | None) -> AsyncIterator[Any]:
        """A stub on the port of mutual TLS."""
        authority = self.controller.authority
        credentials = grpc.ssl_channel_credentials(
            authority.bundle, node.key_pem if node else None, node.certificate if node else None
        )
        target = f"127.0.0.1:{self.controller.servers.sync_port}"
        async with grpc.aio.secure_channel(target, credentials, options=OPTIONS) as channel:
            yield mesh_pb2_grpc.MeshStub(channel)

    @asynccontextmanager
    async def agent(self, node: NodeKey, *, revision: int = 0) -> AsyncIterator[Agent]:
        """A stream that was welcomed."""
        async with self.stub(node) as stub:
            agent = Agent(stub.Sync(), node.name)
            await agent.hello(revision=revision)
            await agent.expect("welcome")
            yield agent
            agent.call.cancel()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another task is about to do."""
    async with asyncio.timeout(LONGEST_S):
        while not await condition():  # noqa: ASYNC110 # the progress of another process's task has no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[Running]:
    config = ControllerConfig(
        state=folder / "state",
        listen=Listen(ip_address("127.0.0.1"), 0),
        admin_socket=folder / "admin.sock",
        **settings,
    )
    controller = Controller.build(config)
    stop, started = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(controller.run(stop, started))
        waiting = tasks.create_task(started.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=LONGEST_S)
        if task.done():
            waiting.cancel()
            await task
        async with grpc.aio.insecure_channel(f"unix:{config.admin_socket}") as channel:
            try:
                yield Running(controller, mesh_pb2_grpc.AdminStub(channel))
            finally:
                stop.set()
