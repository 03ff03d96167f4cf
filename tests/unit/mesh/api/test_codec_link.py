"""The link between agent and proxy: what one side writes the other reads, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.api import codec_link
from mesh.api.codec import proxy_snapshot_to_pb
from mesh.api.codec_link import ProxyAck, ProxyFlows, ProxyHello, ProxyWelcome
from mesh.api.codec_words import CodecError
from mesh.model import FlowRecord, Revision
from mesh.snapshot import ProxyView
from tests.unit.mesh.api.models import flows


def test_what_a_worker_says_arrives() -> None:
    hello = ProxyHello(version="0.1.0", pid=7, features=("a",))
    assert codec_link.from_proxy(codec_link.hello_to_bytes(hello)) == hello
    assert codec_link.from_proxy(codec_link.ack_to_bytes(9)) == ProxyAck(Revision(9))


@settings(max_examples=20, deadline=None)
@given(st.lists(flows, max_size=3), st.integers(0, 9))
def test_flow_records_arrive(records: list[FlowRecord], lost: int) -> None:
    assert codec_link.from_proxy(codec_link.flows_to_bytes(records, lost)) == ProxyFlows(tuple(records), lost)


def test_what_the_agent_says_arrives() -> None:
    welcome = ProxyWelcome(node="n1", listen_port=15001, mark_from_proxy=0x20)
    assert codec_link.to_proxy(codec_link.welcome_to_bytes(welcome)) == welcome
    payload = codec_link.snapshot_to_bytes(proxy_snapshot_to_pb(3, {}, {}, {}, {1: "a/b"}, "td"))
    view = codec_link.to_proxy(payload)
    assert isinstance(view, ProxyView)
    assert (view.revision, view.services, view.trust_domain) == (3, {1: "a/b"}, "td")


@pytest.mark.parametrize("payload", [b"", b"\xff\xff", b"\x7a\x00"])
def test_what_is_no_message_is_refused_by_both(payload: bytes) -> None:
    with pytest.raises(CodecError, match="from_proxy"):
        codec_link.from_proxy(payload)
    with pytest.raises(CodecError, match="to_proxy"):
        codec_link.to_proxy(payload)
