"""Who is charged for a connection, and when a share is full."""

from __future__ import annotations

from dataclasses import replace

from l7proxy.core.limits import Limits
from l7proxy.core.shares import Shares, payers, too_much
from tests.support.proxy import FACTS

LIMITS = Limits(
    connections_per_client=2, connections_per_server=3, pipe_bytes=100, client_bytes=600, least_pipe_bytes=40
)


def test_a_pod_is_one_client_whatever_its_address_and_port() -> None:
    shares = Shares(LIMITS)
    mine = payers(FACTS)
    shares.take(mine)
    shares.take(payers(replace(FACTS, source_ip="fd01::1", source_port=1)))
    assert shares.full(mine)
    assert not shares.full(payers(replace(FACTS, source_endpoint=7)))
    shares.give(mine)
    assert not shares.full(mine)


def test_many_addresses_elsewhere_share_what_one_pod_may_be_asked() -> None:
    shares = Shares(LIMITS)
    for number in (1, 2, 3):
        who = payers(replace(FACTS, source_endpoint=0, source_ip=f"192.0.2.{number}"))
        assert not shares.full(who)
        shares.take(who)
    more = replace(FACTS, source_endpoint=0, source_ip="192.0.2.4")
    assert shares.full(payers(more))
    assert not shares.full(payers(replace(more, destination_endpoint=9)))
    assert not shares.full(payers(FACTS))  # a pod of this node


def test_nothing_is_remembered_of_who_has_gone() -> None:
    shares = Shares(LIMITS)
    who = payers(replace(FACTS, source_endpoint=0))
    shares.take(who)
    assert len(shares) == 2
    shares.give(who)
    assert len(shares) == 0


def test_the_more_connections_the_less_each_may_hold() -> None:
    shares, who = Shares(LIMITS), payers(FACTS)
    seen = []
    for _ in range(10):
        shares.take(who)
        seen.append((shares.crowded(who.of_bytes), shares.pipe_bytes(who.of_bytes)))
    assert seen[2] == (False, 100)
    assert seen[3] == (True, 75)
    assert seen[9] == (True, 40)


def test_those_that_hold_most_are_given_up_first() -> None:
    assert too_much([("a", 10), ("b", 90), ("c", 50)], 60) == ["b"]
    assert too_much([("a", 10), ("b", 20)], 60) == []
