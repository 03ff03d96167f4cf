"""Blocks of backends."""

from __future__ import annotations

import pytest

from agent.backends import place
from agent.datapath.interface import MapFull
from agent.datapath.tables import BackendEntry, ServiceEntry, ServiceKey
from agent.desired import DesiredService
from tests.support import nodes

KEY = ServiceKey(nodes.address("10.96.0.1"), 80, 6)
OTHER = ServiceKey(nodes.address("10.96.0.2"), 80, 6)


def backend(n: int) -> BackendEntry:
    return BackendEntry(nodes.address(f"10.0.0.{n}"), 8080)


def wanted(*numbers: int) -> DesiredService:
    return DesiredService(number=5, backends=tuple(backend(n) for n in numbers))


def test_a_new_service_gets_a_block() -> None:
    found = place({KEY: wanted(1, 2)}, {}, {}, capacity=100)
    assert found.put_backends == {1: backend(1), 2: backend(2)}
    assert found.put_services == {KEY: ServiceEntry(5, 1, 2)}


def test_what_stands_right_is_not_written_again() -> None:
    held = {1: backend(1), 2: backend(2)}
    found = place({KEY: wanted(1, 2)}, {KEY: ServiceEntry(5, 1, 2)}, held, capacity=100)
    assert (found.put_backends, found.put_services, found.unused) == ({}, {}, frozenset())


def test_a_change_goes_to_a_new_block_and_leaves_the_old_one_whole() -> None:
    held = {1: backend(1), 2: backend(2)}
    found = place({KEY: wanted(1, 3)}, {KEY: ServiceEntry(5, 1, 2)}, held, capacity=100)
    assert found.put_backends == {3: backend(1), 4: backend(3)}
    assert found.unused == {1, 2}


def test_a_service_without_backends_says_so() -> None:
    assert place({KEY: wanted()}, {}, {}, capacity=100).put_services == {KEY: ServiceEntry(5, 0, 0)}


def test_a_removed_service_frees_its_block() -> None:
    found = place({}, {KEY: ServiceEntry(5, 1, 1)}, {1: backend(1)}, capacity=100)
    assert found.remove_services == (KEY,)
    assert found.unused == {1}


def test_gaps_are_used_before_the_map_counts_as_full() -> None:
    held = {2: backend(9)}
    found = place({KEY: wanted(1, 2), OTHER: wanted(9)}, {OTHER: ServiceEntry(5, 2, 1)}, held, capacity=5)
    assert found.put_services == {KEY: ServiceEntry(5, 3, 2)}


def test_no_room_is_an_error_that_says_so() -> None:
    with pytest.raises(MapFull, match="no room for 3"):
        place({KEY: wanted(1, 2, 3)}, {}, {}, capacity=3)
