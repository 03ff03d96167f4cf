"""The words: what parses, what does not, and ranges."""

from __future__ import annotations

import pytest

from mesh import layouts
from mesh.model import (
    EVERY_PORT,
    FIRST_ADDRESS_IDENTITY,
    Direction,
    DirectionPolicy,
    PolicyKey,
    PolicySet,
    PortRange,
    Protocol,
    SpiffeId,
)


def test_the_kernel_tells_prefixes_from_pods_by_the_same_number() -> None:
    assert layouts.IDENTITY_FIRST_PREFIX == FIRST_ADDRESS_IDENTITY


def test_spiffe_id_reads_what_it_writes() -> None:
    identity = SpiffeId("cluster.local", "shop", "checkout")
    assert str(identity) == "spiffe://cluster.local/ns/shop/sa/checkout"
    assert SpiffeId.parse(str(identity)) == identity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://td/ns/a/sa/b",
        "spiffe://td/ns/a",
        "spiffe://TD/ns/a/sa/b",
        "spiffe://td/ns//sa/b",
        "spiffe://td/ns/a/sa/",
        "spiffe://td/ns/a/sa/b/c",
        "spiffe:///ns/a/sa/b",
        "spiffe://td/ns/a b/sa/c",
    ],
)
def test_what_is_no_spiffe_id_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="spiffe|trust domain|names") as refused:
        SpiffeId.parse(text)
    assert repr(text) in str(refused.value)


def test_port_range_covers_both_ends_of_its_own_protocol() -> None:
    ports = PortRange(Protocol.TCP, 80, 90)
    assert ports.covers(Protocol.TCP, 80) and ports.covers(Protocol.TCP, 90)
    assert not ports.covers(Protocol.TCP, 79) and not ports.covers(Protocol.TCP, 91)
    assert not ports.covers(Protocol.UDP, 80)


def test_every_port_covers_protocols_without_ports() -> None:
    assert EVERY_PORT.covers(Protocol.ICMP, 0) and EVERY_PORT.covers(47, 0)


def test_policy_set_gives_the_half_asked_for() -> None:
    policy = PolicySet(key=PolicyKey("k"), ingress=DirectionPolicy(default_deny=True))
    assert policy.towards(Direction.INGRESS).default_deny
    assert not policy.towards(Direction.EGRESS).default_deny
