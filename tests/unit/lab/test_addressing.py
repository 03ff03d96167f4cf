"""Addresses: planned once, never twice."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest

from lab.addressing import FABRIC4, WORLD4, NoAddressLeft, allocate, mac, plan_node
from mesh.model import Address


def test_nodes_get_ranges_and_addresses_that_do_not_meet() -> None:
    first = plan_node((), (), ())
    second = plan_node((), (), (first,))
    third = plan_node((), (), (first, second))
    assert [str(cidr) for cidr in first.pod_cidrs] == ["10.244.0.0/24", "fd00:10:244::/64"]
    assert [str(cidr) for cidr in second.pod_cidrs] == ["10.244.1.0/24", "fd00:10:244:1::/64"]
    assert len({address for node in (first, second, third) for address in node.both}) == 6
    assert all(node.v4 in FABRIC4 for node in (first, second, third))
    assert WORLD4 not in FABRIC4


def test_the_tenth_range_reads_alike_in_both_families() -> None:
    nodes = [plan_node((), (), ())]
    for _ in range(10):
        nodes.append(plan_node((), (), tuple(nodes)))
    assert [str(cidr) for cidr in nodes[10].pod_cidrs] == ["10.244.10.0/24", "fd00:10:244:10::/64"]


def test_what_a_node_brings_is_kept_and_others_keep_clear_of_it() -> None:
    given = plan_node((ip_address("192.168.7.7"),), (ip_network("10.244.0.0/23"),), ())
    assert given.v4 == IPv4Address("192.168.7.7")
    assert given.pod_cidrs == (IPv4Network("10.244.0.0/23"),)
    assert str(plan_node((), (), (given,)).pod_cidrs[0]) == "10.244.2.0/24"


def test_a_pod_gets_one_free_address_of_each_family() -> None:
    cidrs = plan_node((), (), ()).pod_cidrs
    taken: set[Address] = set(allocate(cidrs, ()))
    assert taken == {IPv4Address("10.244.0.2"), IPv6Address("fd00:10:244::2")}
    assert allocate(cidrs, taken) == (IPv4Address("10.244.0.3"), IPv6Address("fd00:10:244::3"))


def test_a_full_range_is_said_so() -> None:
    cidr = ip_network("10.0.0.0/30")
    assert allocate((cidr,), ()) == (IPv4Address("10.0.0.2"),)
    with pytest.raises(NoAddressLeft, match=r"10\.0\.0\.0/30.*podCIDRs"):
        allocate((cidr,), {IPv4Address("10.0.0.2")})


def test_hardware_addresses_are_stable_unicast_and_local() -> None:
    first = int(mac("a").partition(":")[0], 16)
    assert mac("a") == mac("a") != mac("b")
    assert first & 0b11 == 0b10
