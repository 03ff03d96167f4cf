"""Whole messages: what goes out comes back equal, and what must not be acted on is refused with its field."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings

from mesh.api import mesh_pb2 as pb
from mesh.api.codec import (
    CodecError,
    delta_from_pb,
    delta_to_pb,
    parse,
    proxy_snapshot_from_pb,
    proxy_snapshot_to_pb,
    snapshot_from_pb,
    snapshot_to_pb,
)
from mesh.model import IdentityId
from mesh.snapshot import NodeSnapshot, apply, diff
from tests.unit.mesh.api.models import snapshots


@settings(max_examples=60, deadline=None)
@given(snapshots())
def test_a_snapshot_survives_the_wire(snapshot: NodeSnapshot) -> None:
    data = snapshot_to_pb(snapshot).SerializeToString()
    assert snapshot_from_pb(parse(pb.Snapshot, data)) == snapshot


@settings(max_examples=60, deadline=None)
@given(snapshots(), snapshots())
def test_a_delta_that_crossed_the_wire_leads_to_the_new_snapshot(old: NodeSnapshot, new: NodeSnapshot) -> None:
    if new.revision < old.revision:
        old, new = new, old
    data = delta_to_pb(diff(old, new)).SerializeToString()
    assert apply(old, delta_from_pb(parse(pb.SnapshotDelta, data))) == new


@settings(max_examples=30, deadline=None)
@given(snapshots())
def test_the_proxys_view_survives_the_wire(snapshot: NodeSnapshot) -> None:
    endpoints = dict(enumerate(snapshot.endpoints.values(), start=7))
    message = proxy_snapshot_to_pb(
        snapshot.revision,
        endpoints,
        snapshot.policies,
        snapshot.identities,
        {3: "shop/pay"},
        "td.test",
        {ip_address("10.0.0.1"): IdentityId(300), ip_address("fd00::1"): IdentityId(301)},
    )
    view = proxy_snapshot_from_pb(parse(pb.ProxySnapshot, message.SerializeToString()))
    assert (view.endpoints, view.policies, view.identities) == (endpoints, snapshot.policies, snapshot.identities)
    assert (view.revision, view.services, view.trust_domain) == (snapshot.revision, {3: "shop/pay"}, "td.test")
    assert view.moved == {ip_address("10.0.0.1"): 300, ip_address("fd00::1"): 301}


def snapshot_message() -> pb.Snapshot:
    return pb.Snapshot(
        node="node-1",
        revision=1,
        settings=pb.Settings(trust_domain="td", deny_feedback="Reset"),
        endpoints=[
            pb.Endpoint(
                namespace="a",
                name="web",
                policy="p",
                addresses=[pb.AddressIdentity(address=b"\x0a\0\0\1", identity=256)],
            )
        ],
        identities=[pb.Identity(id=256, kind="pod", namespace="a")],
        policies=[pb.PolicySet(key="p")],
    )


def test_the_message_that_the_refusals_start_from_is_itself_accepted() -> None:
    assert snapshot_from_pb(snapshot_message()).endpoints["a/web"].policy == "p"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda m: setattr(m, "node", ""), "snapshot.node"),
        (lambda m: m.endpoints.append(m.endpoints[0]), r"snapshot.endpoints\[1\]: a/web comes twice"),
        (lambda m: m.policies.clear(), "names policy set p, which is not there"),
        (lambda m: m.identities.clear(), "has identity 256, which is not there"),
        (lambda m: setattr(m.settings, "deny_feedback", "Explode"), "snapshot.settings.deny_feedback"),
        (lambda m: setattr(m.identities[0], "kind", "ghost"), r"snapshot.identities\[0\].kind: 'ghost' is not known"),
        (lambda m: setattr(m.endpoints[0], "name", "a/b"), r"snapshot.endpoints\[0\].name"),
    ],
)
def test_a_snapshot_that_would_need_guessing_is_refused(spoil: object, reason: str) -> None:
    message = snapshot_message()
    assert callable(spoil)
    spoil(message)
    with pytest.raises(CodecError, match=reason):
        snapshot_from_pb(message)


def test_a_delta_that_goes_back_is_refused() -> None:
    with pytest.raises(CodecError, match="delta.revision: 3 is before its base 4"):
        delta_from_pb(pb.SnapshotDelta(base=4, revision=3))


def test_bytes_that_are_no_message_are_refused() -> None:
    with pytest.raises(CodecError, match="Snapshot: 3 bytes are no such message"):
        parse(pb.Snapshot, b"\xff\xff\xff")


def test_a_proxy_endpoint_without_its_policy_is_refused() -> None:
    message = pb.ProxySnapshot(endpoints=[pb.ProxyEndpoint(id=1, endpoint=snapshot_message().endpoints[0])])
    with pytest.raises(CodecError, match="names policy set p, not sent"):
        proxy_snapshot_from_pb(message)
