from __future__ import annotations

import pytest

from mesh.api.codec import proxy_snapshot_to_pb
from mesh.api.codec_link import (
    ProxyAck,
    ProxyFlows,
    ProxyHello,
    ProxyWelcome,
    ack_to_bytes,
    flows_to_bytes,
    from_proxy,
    hello_to_bytes,
    snapshot_to_bytes,
    to_proxy,
    welcome_to_bytes,
)
from mesh.api.codec_words import CodecError
from mesh.model import Direction, FlowRecord, Layer, Party, Protocol, Revision, Verdict
from tests.support.proxy import ALLOW_ALL

FLOW = FlowRecord(
    id="1",
    time_ns=1,
    node="n",
    direction=Direction.INGRESS,
    verdict=Verdict.DENY,
    layer=Layer.L7,
    protocol=Protocol.TCP,
    source=Party(),
    destination=Party(),
    count=3,
)
HELLO = ProxyHello(version="0.1.0", pid=7, features=("a", "b"), workers=2)
WELCOME = ProxyWelcome(node="n", listen_port=15001, mark_from_proxy=0x20)


def test_what_the_proxy_says_is_read_back() -> None:
    assert from_proxy(hello_to_bytes(HELLO)) == HELLO
    assert from_proxy(ack_to_bytes(9)) == ProxyAck(Revision(9))
    assert from_proxy(flows_to_bytes([FLOW], 2)) == ProxyFlows((FLOW,), 2)


def test_what_the_agent_says_is_read_back() -> None:
    view = ALLOW_ALL
    message = proxy_snapshot_to_pb(
        view.revision, view.endpoints, view.policies, view.identities, view.services, view.trust_domain, view.moved
    )
    assert to_proxy(welcome_to_bytes(WELCOME)) == WELCOME
    assert to_proxy(snapshot_to_bytes(message)) == view


@pytest.mark.parametrize("payload", [b"", b"\xff\xff\xff"])
def test_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(CodecError):
        from_proxy(payload)
    with pytest.raises(CodecError):
        to_proxy(payload)
