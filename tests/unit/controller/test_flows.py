"""Flow records: bounded, filtered, and nobody's loss is hidden."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.flows import End, FlowFilter, Flows, is_foreign, own_flows, weight
from mesh.model import Direction, FlowRecord, HttpRecord, Layer, Party, Protocol, Verdict

FLOW = FlowRecord(
    id="1",
    time_ns=10,
    node="n1",
    direction=Direction.INGRESS,
    verdict=Verdict.ALLOW,
    layer=Layer.L7,
    protocol=Protocol.TCP,
    source=Party(namespace="shop", pod="client", service_account="cart", ip="10.0.0.1"),
    destination=Party(namespace="shop", pod="pay", ip="10.0.0.2"),
    service="shop/payments",
    http=HttpRecord(method="GET", path="/", status=503),
)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (FlowFilter(), True),
        (FlowFilter(source=End.read("shop/client")), True),
        (FlowFilter(source=End.read("shop/cart")), True),
        (FlowFilter(source=End.read("shop/")), True),
        (FlowFilter(source=End.read("shop/other")), False),
        (FlowFilter(source=End.read("10.0.0.0/24")), True),
        (FlowFilter(source=End.read("10.0.0.9")), False),
        (FlowFilter(destination=End.read("shop/payments")), True),
        (FlowFilter(verdict=Verdict.DENY), False),
        (FlowFilter(http_status=("5xx",)), True),
        (FlowFilter(http_status=("503", "404")), True),
        (FlowFilter(http_status=("4xx",)), False),
        (FlowFilter(namespace="shop"), True),
        (FlowFilter(namespace="bank"), False),
        (FlowFilter(since_ns=11), False),
    ],
)
def test_everything_that_is_asked_must_hold(wanted: FlowFilter, matches: bool) -> None:
    assert wanted.matches(FLOW) is matches


def test_status_is_asked_of_requests_alone() -> None:
    assert not FlowFilter(http_status=("5xx",)).matches(replace(FLOW, http=None))


@pytest.mark.parametrize("text", ["nonsense", "/pod", "bogus//x", "shop/a/b"])
def test_what_is_no_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is neither"):
        End.read(text)


@pytest.mark.parametrize("text", ["10.0.0.0/99", "10.0.0.1/8", "fd00::/200", "10.0.0/8"])
def test_what_is_no_cidr_is_not_taken_for_a_pod(text: str) -> None:
    with pytest.raises(ValueError, match="is not a CIDR"):
        End.read(text)


def test_the_ring_keeps_the_newest_and_answers_in_order() -> None:
    flows = Flows(limit=3)
    flows.add("n1", [replace(FLOW, id=str(i)) for i in range(5)], lost=2)
    assert [flow.id for flow in flows.past(FlowFilter(), 0)] == ["2", "3", "4"]
    assert [flow.id for flow in flows.past(FlowFilter(), 2)] == ["3", "4"]
    assert (len(flows), flows.received, flows.lost_on_nodes) == (3, 5, 2)


def test_long_records_leave_room_for_fewer() -> None:
    """A caller's paths must not fill the controller's memory."""
    long = replace(FLOW, http=HttpRecord(method="GET", path="/" + "x" * 5000, status=200))
    flows = Flows(limit=100, bytes_limit=20 * weight(FLOW))
    flows.add("n1", [FLOW] * 50, lost=0)
    assert len(flows) == 20
    flows.add("n1", [long] * 50, lost=0)
    assert 0 < len(flows) <= 20 * weight(FLOW) / weight(long)
    flows.add("n1", [FLOW] * 50, lost=0)
    assert len(flows) == 20


def test_a_slow_follower_loses_records_and_is_told() -> None:
    async def main() -> None:
        flows = Flows()
        follower = flows.follow(FlowFilter(), limit=2)
        flows.add("n1", [replace(FLOW, id=str(i)) for i in range(5)], lost=0)
        got = [(await follower.next()), (await follower.next())]
        assert [flow.id for flow in got if flow] == ["0", "1"]
        assert (follower.take_lost(), follower.take_lost()) == (3, 0)
        flows.end()
        assert await follower.next() is None
        flows.leave(follower)
        assert await flows.follow(FlowFilter()).next() is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("source", "destination", "foreign"),
    [
        ("mine", "other", False),
        ("other", "mine", False),
        ("gone", "other", False),
        ("", "mine", False),
        ("", "", False),
        ("other", "other", True),
        ("other", "", True),
        ("", "other", True),
    ],
)
def test_a_node_can_tell_of_its_own_pods_only(source: str, destination: str, *, foreign: bool) -> None:
    flow = replace(
        FLOW, source=Party(namespace="shop", pod=source), destination=Party(namespace="shop", pod=destination)
    )
    assert is_foreign(flow, "n1", {"shop/mine": "n1", "shop/other": "n2"}.get) is foreign


def test_a_node_is_believed_about_its_own_pods_alone() -> None:
    mine = replace(FLOW, id="mine", source=Party(namespace="shop", pod="mine"))
    other = replace(FLOW, source=Party(namespace="shop", pod="other"), destination=Party(namespace="shop", pod="other"))
    own, objections = own_flows([other, mine, other], "n1", {"shop/mine": "n1", "shop/other": "n2"}.get)
    assert own == [mine]
    assert objections == ["it tells of pods of other nodes"] * 2
