"""What is asked of the machine."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.errors import EndpointRefused
from agent.podnetns import ifindex_of, interface_exists, interfaces, netns_cookie, node_addresses

FIB = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.0.0
        /24 link UNICAST
     |-- 10.0.0.7
        /32 host LOCAL
     |-- 10.0.0.255
        /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 169.254.1.1
        /32 host LOCAL
"""
INET6 = """fd000000000000000000000000000007 02 40 00 80     eth0
fe80000000000000000000000000abcd 02 40 20 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


def test_own_addresses_without_loopback_and_link_local(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(FIB)
    (tmp_path / "if_inet6").write_text(INET6)
    assert node_addresses(tmp_path) == {ip_address("10.0.0.7"), ip_address("fd00::7")}


def test_a_node_without_ipv6_has_none(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(FIB)
    assert node_addresses(tmp_path) == {ip_address("10.0.0.7")}


def test_interfaces_by_name_and_number() -> None:
    number = ifindex_of("lo")
    assert interfaces()[number] == "lo"
    assert interface_exists(number)
    assert not interface_exists(2**31 - 1)


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(EndpointRefused, match="nosuchif0"):
        ifindex_of("nosuchif0")
    with pytest.raises(EndpointRefused, match="/nonexistent"):
        netns_cookie("/nonexistent")
