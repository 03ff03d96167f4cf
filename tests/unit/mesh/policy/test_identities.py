"""Shapes and numbers."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from mesh.model import (
    FIRST_ADDRESS_IDENTITY,
    FIRST_POD_IDENTITY,
    IdentityId,
    IdentityKind,
    Protocol,
    ReservedIdentity,
)
from mesh.policy.identities import RESERVED, FreshNumbers, IdentityShape, is_volatile

POD = IdentityShape(
    kind=IdentityKind.POD,
    namespace="shop",
    service_account="sa",
    labels=(("app", "a"),),
    namespace_labels=(("team", "x"),),
    entities=frozenset({"cluster"}),
    blocks=frozenset({ip_network("10.0.0.0/8"), ip_network("fd00::/8")}),
    named_ports=(("http", Protocol.TCP, 80),),
)


def test_equal_shapes_have_equal_keys() -> None:
    assert POD.key == replace(POD).key
    assert POD.key.startswith('["pod","shop","sa",[["app","a"]]')


def test_every_part_of_a_shape_is_part_of_its_key() -> None:
    others = [
        replace(POD, kind=IdentityKind.NODE), replace(POD, namespace="x"), replace(POD, service_account="x"),
        replace(POD, labels=()), replace(POD, namespace_labels=()), replace(POD, entities=frozenset()),
        replace(POD, blocks=frozenset()), replace(POD, named_ports=()), replace(POD, prefix=ip_network("10.0.0.0/8")),
    ]  # fmt: skip
    assert len({POD.key, *(other.key for other in others)}) == 10


def test_fresh_numbers_start_where_each_kind_does() -> None:
    numbers = FreshNumbers()
    outside = IdentityShape(kind=IdentityKind.ADDRESS, prefix=ip_network("10.0.0.0/8"))
    assert numbers(POD) == FIRST_POD_IDENTITY
    assert numbers(outside) == FIRST_ADDRESS_IDENTITY
    assert numbers(replace(POD, namespace="x")) == FIRST_POD_IDENTITY + 1
    assert numbers(POD) == FIRST_POD_IDENTITY


def test_an_identity_is_its_shape_with_a_number() -> None:
    identity = POD.identity(IdentityId(300))
    assert (identity.id, identity.kind, identity.labels, identity.blocks) == (
        300,
        IdentityKind.POD,
        POD.labels,
        POD.blocks,
    )


def test_reserved_identities_are_all_there() -> None:
    assert set(RESERVED) == {IdentityId(number) for number in ReservedIdentity}


def test_volatile_labels() -> None:
    assert is_volatile("pod-template-hash")
    assert is_volatile("batch.kubernetes.io/job-name")
    assert not is_volatile("app")
