"""Bytes turn at this border: what is packed unpacks to itself, in the order of the header."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.datapath.tables import (
    AddressKey,
    CtEntry,
    CtKey,
    EndpointEntry,
    FlowEvent,
    IpcacheKey,
    PolicyKey,
    PolicyPage,
    PolicyStep,
    ServiceKey,
    address_bytes,
    address_of,
)
from mesh import layouts

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6).filter(lambda one: one.ipv4_mapped is None))
ports = st.integers(0, 65535)


@given(addresses)
def test_an_address_survives_the_map(address: IPv4Address | IPv6Address) -> None:
    raw = address_bytes(address)
    assert len(raw) == 16
    assert address_of(raw) == address


@given(addresses, addresses, ports, ports)
def test_a_conntrack_key_survives(source: IPv4Address, destination: IPv4Address, sport: int, dport: int) -> None:
    key = CtKey(endpoint=7, direction=1, protocol=6, source=source, destination=destination, sport=sport, dport=dport)
    assert CtKey.unpack(key.pack()) == key


@given(ports)
def test_a_policy_key_survives(page: int) -> None:
    key = PolicyKey(set=3, identity=layouts.IDENTITY_ANY, direction=1, page=page)
    assert PolicyKey.unpack(key.pack()) == key


steps = st.builds(
    PolicyStep, st.sampled_from((0, 1, 6, 17, 58, 132, 133)), ports, st.integers(0, 255), st.integers(0, 2**32 - 1)
)


@given(st.lists(steps, min_size=1, max_size=layouts.POLICY_STEPS))
def test_a_page_of_policy_steps_survives(held: list[PolicyStep]) -> None:
    page = PolicyPage.of(*held)
    assert PolicyPage.unpack(page.pack()) == page


def test_a_page_shows_its_steps_and_where_they_lead() -> None:
    page = PolicyPage.of(PolicyStep(0, 0, layouts.POLICY_MORE, 2), PolicyStep(6, 80, layouts.POLICY_ALLOW, 7))
    assert page.fields() == {
        "steps": [
            {"protocol": 0, "port": 0, "flags": layouts.POLICY_MORE, "page": 2},
            {"protocol": 6, "port": 80, "flags": layouts.POLICY_ALLOW, "rules": 7},
        ]
    }


def test_steps_compare_as_numbers_by_protocol_then_port_whatever_their_flags() -> None:
    page = PolicyPage.of(PolicyStep(0, 0, 255), PolicyStep(6, 80, 2, 7), PolicyStep(6, 81, 0))
    raw = layouts.PolicyPage.from_buffer_copy(page.pack())
    rest = [layouts.POLICY_NO_STEP] * 4
    assert list(raw.begin) == [255, 6 << 24 | 80 << 8 | 2, 6 << 24 | 81 << 8, *rest]
    assert list(raw.rules) == [0, 7, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("prefix", "bits"),
    [
        ("0.0.0.0/0", 96),
        ("10.0.0.0/8", 104),
        ("10.1.2.3/32", 128),
        ("::/0", 0),
        ("fd00::/8", 8),
        ("2001:db8::1/128", 128),
    ],
)
def test_ipv4_prefixes_are_mapped(prefix: str, bits: int) -> None:
    key = IpcacheKey(ip_network(prefix))
    assert int.from_bytes(key.pack()[:4], "little") == bits
    assert IpcacheKey.unpack(key.pack()) == key


def test_ports_are_in_network_order() -> None:
    raw = ServiceKey(ip_address("10.96.0.1"), 8080, 6).pack()
    assert raw[16:18] == b"\x1f\x90"


def test_an_endpoint_without_an_address_has_none() -> None:
    entry = EndpointEntry(
        ifindex=3,
        policy_set=1,
        epoch=2,
        flags=layouts.ENDPOINT_HAS_V4,
        identity4=300,
        identity6=0,
        addr4=ip_address("10.1.0.2"),
        addr6=None,
        netns_cookie=2**40,
    )
    assert EndpointEntry.unpack(entry.pack()) == entry


def test_sizes_are_those_of_the_header() -> None:
    entry = CtEntry(
        created_ns=1,
        expires_ns=2,
        packets=3,
        bytes=4,
        epoch=5,
        flags=6,
        peer_identity=7,
        rules_peer=8,
        rules_any=9,
        service=10,
    )
    assert len(entry.pack()) == 56
    assert len(AddressKey(ip_address("::1")).pack()) == 16
    assert FlowEvent.unpack(bytes(88)).source == ip_address("::")
