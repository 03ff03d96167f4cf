"""The link between agent and proxy: one function to write and one to read for each direction.

Payloads are bytes without their frame (`mesh.api.frames`); descriptors travel beside them and are not seen here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from mesh.api import mesh_pb2 as pb
from mesh.api.codec import proxy_snapshot_from_pb
from mesh.api.codec_flow import flow_from_pb, flow_to_pb
from mesh.api.codec_words import CodecError
from mesh.model import FlowRecord, Revision
from mesh.snapshot import ProxyView


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHello:
    """The first word of a proxy worker."""

    version: str
    pid: int
    features: tuple[str, ...] = ()
    workers: int = 1
    """How many the proxy has, this one included."""


@dataclass(frozen=True, slots=True)
class ProxyAck:
    """The worker decides by this revision from now on."""

    revision: Revision


@dataclass(frozen=True, slots=True)
class ProxyFlows:
    flows: tuple[FlowRecord, ...]
    lost: int = 0
    """Records that the worker had to drop since the last batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyWelcome:
    """The agent's answer; comes with the listeners and the redirect map."""

    node: str
    listen_port: int
    mark_from_proxy: int


def hello_to_bytes(hello: ProxyHello) -> bytes:
    message = pb.ProxyHello(version=hello.version, pid=hello.pid, features=hello.features, workers=hello.workers)
    return pb.FromProxy(hello=message).SerializeToString()


def ack_to_bytes(revision: int) -> bytes:
    return pb.FromProxy(ack=pb.Ack(revision=revision)).SerializeToString()


def flows_to_bytes(flows: Iterable[FlowRecord], lost: int) -> bytes:
    return pb.FromProxy(flows=pb.FlowBatch(flows=[flow_to_pb(flow) for flow in flows], lost=lost)).SerializeToString()


def welcome_to_bytes(welcome: ProxyWelcome) -> bytes:
    message = pb.ToProxy(
        welcome=pb.ProxyWelcome(
            node=welcome.node, listen_port=welcome.listen_port, mark_from_proxy=welcome.mark_from_proxy
        )
    )
    return message.SerializeToString()


def snapshot_to_bytes(snapshot: pb.ProxySnapshot) -> bytes:
    """A snapshot as `mesh.api.codec.proxy_snapshot_to_pb` makes it."""
    return pb.ToProxy(snapshot=snapshot).SerializeToString()


def from_proxy(payload: bytes) -> ProxyHello | ProxyAck | ProxyFlows:
    """What a proxy worker says to the agent. Raises CodecError."""
    try:
        message = pb.FromProxy.FromString(payload)
    except DecodeError:
        raise CodecError("from_proxy", "is not a message") from None
    kind = message.WhichOneof("message")
    if kind == "hello":
        hello = message.hello
        return ProxyHello(
            version=hello.version, pid=hello.pid, features=tuple(hello.features), workers=max(1, hello.workers)
        )
    if kind == "ack":
        return ProxyAck(Revision(message.ack.revision))
    if kind == "flows":
        flows = message.flows
        return ProxyFlows(
            tuple(flow_from_pb(flow, f"from_proxy.flows[{i}]") for i, flow in enumerate(flows.flows)), flows.lost
        )
    raise CodecError("from_proxy", "holds no message that is known here")


def to_proxy(payload: bytes) -> ProxyWelcome | ProxyView:
    """What the agent says to a proxy worker. Raises CodecError."""
    try:
        message = pb.ToProxy.FromString(payload)
    except DecodeError:
        raise CodecError("to_proxy", "is not a message") from None
    kind = message.WhichOneof("message")
    if kind == "welcome":
        welcome = message.welcome
        return ProxyWelcome(node=welcome.node, listen_port=welcome.listen_port, mark_from_proxy=welcome.mark_from_proxy)
    if kind == "snapshot":
        return proxy_snapshot_from_pb(message.snapshot)
    raise CodecError("to_proxy", "holds no message that is known here")
