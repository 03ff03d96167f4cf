"""Addresses, prefixes, numbers and words at the border."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from mesh.api import mesh_pb2 as pb
from mesh.api.codec_words import (
    CodecError,
    address_from_pb,
    labels_from_pb,
    name_from_pb,
    port_from_pb,
    prefix_from_pb,
    prefix_to_pb,
    protocol_from_pb,
    word_from_pb,
)
from mesh.model import Action, Protocol


@pytest.mark.parametrize("text", ["10.0.0.1", "fd00::1", "::"])
def test_addresses_keep_their_family(text: str) -> None:
    assert address_from_pb(ip_address(text).packed, "x") == ip_address(text)


@pytest.mark.parametrize("data", [b"", b"\1\2\3", IPv6Address("::ffff:10.0.0.1").packed])
def test_other_addresses_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match=r"^x\.address: "):
        address_from_pb(data, "x.address")


@pytest.mark.parametrize("text", ["0.0.0.0/0", "10.0.0.0/8", "::/0", "fd00::/16", "fd00::1/128"])
def test_prefixes_survive(text: str) -> None:
    assert prefix_from_pb(prefix_to_pb(ip_network(text)), "x") == ip_network(text)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (pb.Prefix(address=b"\x0a\0\0\1", bits=8), "bits set behind its length"),
        (pb.Prefix(address=b"\x0a\0\0\0", bits=33), "33 is more than 32"),
        (pb.Prefix(address=b"\x0a", bits=8), "4 or 16 bytes, not 1"),
    ],
)
def test_other_prefixes_are_refused(message: pb.Prefix, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        prefix_from_pb(message, "x")


def test_numbers_outside_their_range_are_refused() -> None:
    assert port_from_pb(65535, "p") == 65535
    assert port_from_pb(0, "p", zero=True) == 0
    for number in (0, 70000):
        with pytest.raises(CodecError, match="is not a port"):
            port_from_pb(number, "p")


def test_protocols_are_known_and_the_wildcard_stands_where_it_may() -> None:
    assert protocol_from_pb(6, "p") is Protocol.TCP
    assert protocol_from_pb(0, "p", wildcard=True) is Protocol.ANY
    for number in (0, 99):
        with pytest.raises(CodecError, match=r"^p: "):
            protocol_from_pb(number, "p")


def test_an_unknown_word_is_refused_with_those_known() -> None:
    assert word_from_pb(Action, "Deny", "a") is Action.DENY
    with pytest.raises(CodecError, match="'DryRun' is not known .known: Allow, Deny"):
        word_from_pb(Action, "DryRun", "a")


@pytest.mark.parametrize("text", ["", "a/b", "n" * 254, "a\x00"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(CodecError, match="is not a name"):
        name_from_pb(text, "n")


def test_labels_come_sorted_and_once() -> None:
    assert labels_from_pb([pb.Label(key="b", value="2"), pb.Label(key="a", value="1")], "l") == (("a", "1"), ("b", "2"))
    with pytest.raises(CodecError, match="label 'a' comes twice"):
        labels_from_pb([pb.Label(key="a", value="1"), pb.Label(key="a", value="2")], "l")
