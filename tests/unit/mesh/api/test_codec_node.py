"""A node's resources on the wire."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings

from mesh.api import mesh_pb2 as pb
from mesh.api.codec_node import endpoint_from_pb, frontend_from_pb, frontend_to_pb, identity_from_pb, identity_to_pb
from mesh.api.codec_words import CodecError
from mesh.model import Identity
from mesh.snapshot import Frontend
from tests.unit.mesh.api.models import frontends, identities


@settings(max_examples=50, deadline=None)
@given(identities)
def test_an_identity_survives_the_wire(identity: Identity) -> None:
    assert identity_from_pb(pb.Identity.FromString(identity_to_pb(identity).SerializeToString())) == identity


@settings(max_examples=50, deadline=None)
@given(frontends())
def test_a_frontend_survives_the_wire(frontend: Frontend) -> None:
    assert frontend_from_pb(pb.Frontend.FromString(frontend_to_pb(frontend).SerializeToString())) == frontend


def test_a_backend_of_the_other_family_is_refused() -> None:
    message = pb.Frontend(
        namespace="a",
        name="s",
        address=ip_address("10.96.0.1").packed,
        protocol=6,
        port=80,
        backends=[pb.Backend(address=ip_address("fd00::1").packed, port=80)],
    )
    with pytest.raises(CodecError, match=r"frontend.backends\[0\].address: fd00::1 is not of the family"):
        frontend_from_pb(message)


def test_an_endpoint_with_one_address_twice_is_refused() -> None:
    twice = [pb.AddressIdentity(address=b"\x0a\0\0\1", identity=number) for number in (256, 257)]
    with pytest.raises(CodecError, match="endpoint.addresses: an address comes twice"):
        endpoint_from_pb(pb.Endpoint(namespace="a", name="b", policy="p", addresses=twice))
