"""Longest prefixes and containing ones, against the plain way of finding them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import Address, Prefix
from mesh.policy.prefixes import PrefixTable, contains, host_prefix

addresses = st.one_of(
    st.integers(0x0A000000, 0x0A00000F).map(IPv4Address),
    st.integers(0, 15).map(lambda low: IPv6Address((0xFD << 120) | low)),
)
prefixes = st.builds(
    lambda address, bits: ip_network((address, (24 if address.version == 4 else 120) + bits), strict=False),
    addresses,
    st.integers(0, 8),
)


@given(st.lists(prefixes, max_size=8), addresses)
def test_lookups_agree_with_a_walk(blocks: list[Prefix], address: Address) -> None:
    table = PrefixTable({block: str(block) for block in blocks})
    inside = {block for block in blocks if address in block}
    assert table.containing(address) == inside
    assert table.longest(address) == (str(max(inside, key=lambda block: block.prefixlen)) if inside else None)


def test_everything_contains_everything_of_its_family() -> None:
    table = PrefixTable({ip_network("0.0.0.0/0"): "v4"})
    assert table.longest(ip_address("1.2.3.4")) == "v4"
    assert table.longest(ip_address("::1")) is None


def test_containment_keeps_families_apart() -> None:
    assert contains(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"))
    assert contains(ip_network("fd00::/8"), ip_network("fd00::/8"))
    assert not contains(ip_network("10.1.0.0/16"), ip_network("10.0.0.0/8"))
    assert not contains(ip_network("::/0"), ip_network("10.0.0.0/8"))


def test_supernets_include_the_prefix_itself() -> None:
    wide, narrow, other = ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16"), ip_network("11.0.0.0/8")
    assert PrefixTable(dict.fromkeys([wide, narrow, other])).supernets(narrow) == {wide, narrow}


@given(st.lists(prefixes, max_size=8), prefixes)
def test_supernets_agree_with_a_walk(blocks: list[Prefix], of: Prefix) -> None:
    assert PrefixTable(dict.fromkeys(blocks)).supernets(of) == {block for block in blocks if contains(block, of)}


def test_thousands_of_prefixes_are_not_compared_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise AssertionError("compared one by one")

    blocks = [ip_network((0x0A000000 + (number << 8), 24)) for number in range(5000)]
    table = PrefixTable(dict.fromkeys(blocks))
    monkeypatch.setattr(IPv4Network, "subnet_of", refuse)
    assert all(table.supernets(block) == {block} for block in blocks)


def test_an_address_is_a_prefix_of_its_own() -> None:
    assert host_prefix(ip_address("10.0.0.1")) == ip_network("10.0.0.1/32")
    assert host_prefix(ip_address("fd00::1")) == ip_network("fd00::1/128")
