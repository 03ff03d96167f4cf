"""Service addresses: free, within the range, the same for the same name."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from controller.clusterip import choose, objection
from mesh.model import Address

RANGE = ip_network("10.96.0.0/16")


@given(st.lists(st.text("abc/", min_size=1, max_size=5), unique=True, max_size=40))
def test_every_service_gets_an_address_of_its_own_within_the_range(names: list[str]) -> None:
    taken: dict[Address, str] = {}
    for name in names:
        address = choose(name, RANGE, taken)
        assert address is not None
        assert address in RANGE
        assert address not in taken
        taken[address] = name


def test_the_choice_follows_from_the_name() -> None:
    assert choose("shop/pay", RANGE, {}) == choose("shop/pay", RANGE, {})


def test_the_lowest_addresses_and_the_last_are_left_alone() -> None:
    small = ip_network("10.0.0.0/25")
    taken: dict[Address, str] = {}
    while (address := choose("x", small, taken)) is not None:
        taken[address] = "x"
    assert min(taken) == ip_address("10.0.0.16")
    assert max(taken) == ip_address("10.0.0.126")


def test_a_small_range_is_used_up_and_then_there_is_none() -> None:
    tiny = ip_network("fd00::/126")
    taken: dict[Address, str] = {}
    while (address := choose("x", tiny, taken)) is not None:
        taken[address] = "x"
    assert [str(address) for address in sorted(taken)] == ["fd00::1", "fd00::2"]


def test_what_a_service_may_not_ask_for() -> None:
    held: dict[Address, str] = {ip_address("10.96.0.9"): "a/b"}
    assert objection("a/b", ip_address("10.96.0.9"), held) is None
    assert "is the address of Service a/b already" in str(objection("a/c", ip_address("10.96.0.9"), held))
    assert "cannot be" in str(objection("a/c", ip_address("224.0.0.1"), held))
