"""Rows of a node's answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.datapath.fake import FakeDatapath
from agent.datapath.tables import (
    EndpointEntry,
    EndpointSpent,
    IpcacheEntry,
    IpcacheKey,
    PolicyKey,
    PolicyPage,
    PolicyStep,
)
from agent.desired import Numbers
from agent.endpoints import Life
from agent.errors import QuestionRefused
from agent.listings import endpoint_rows, flow_rows, map_asked, map_rows
from agent.mapwords import MapWords
from mesh.layouts import CT_PROXIED, CT_SEEN_REPLY
from tests.support import nodes
from tests.unit.agent.test_evaluate import ENTRY, KEY

WORDS = MapWords({}, Numbers(), {})


def dump(datapath: FakeDatapath, name: str) -> tuple[list[dict[str, Any]], bool]:
    return map_rows(map_asked(name), datapath.tables.by_name(name).raw_items(), WORDS)


def test_an_endpoint_row_says_what_is_wanted_and_what_the_kernel_holds() -> None:
    held = nodes.snapshot(pods=[nodes.pod("p", "10.9.0.1", 300, "a")], policies=[nodes.policy("a")])
    state = nodes.node(held, nodes.local("p", 7, 11), nodes.local("new", 8, 12))
    entry = EndpointEntry(
        ifindex=11, policy_set=5, epoch=9, flags=0, identity4=300, identity6=300,
        addr4=nodes.address("10.9.0.1"), addr6=None, netns_cookie=1,
    )  # fmt: skip
    unknown, known = endpoint_rows(state, {"shop/p": Life.ENFORCED}, {7: entry})
    assert (known["pod"], known["state"], known["id"]) == ("p", "enforced", 7)
    assert (known["identities"], known["ips"]) == ([300], ["10.9.0.1"])
    assert (known["policySet"], known["epoch"]) == (5, 9)
    assert (unknown["pod"], unknown["policy"], unknown["policySet"]) == ("new", "", 0)


def test_a_flow_row_has_the_promised_keys() -> None:
    rows, cut = flow_rows([(KEY, replace(ENTRY, flags=CT_PROXIED | CT_SEEN_REPLY))], {1: "shop/a"}, 0)
    assert not cut
    assert rows[0]["endpoint"] == "shop/a"
    assert rows[0]["direction"] == "ingress"
    assert rows[0]["protocol"] == "TCP"
    assert rows[0]["flags"] == ["proxied", "replied"]
    assert rows[0]["state"] == "established"


def test_map_rows_are_key_and_value_in_the_words_of_other_listings() -> None:
    datapath = FakeDatapath()
    datapath.tables.ipcache.put(IpcacheKey(nodes.prefix("10.0.0.1/32")), IpcacheEntry(256))
    rows, _ = dump(datapath, "ipcache")
    assert rows == [
        {
            "key": {"prefixBits": 128, "addr": "10.0.0.1"},
            "value": {"identity": 256, "flags": 0, "ifindex": 0},
            "words": {
                "key": {"prefixBits": None, "addr": "10.0.0.1/32"},
                "value": {"identity": "256", "flags": []},
            },
        }
    ]
    datapath.tables.policy.put(PolicyKey(set=1, identity=256, direction=1), PolicyPage.of(PolicyStep(6, 80, 2, 7)))
    rows, _ = dump(datapath, "mesh_policy")
    assert rows == [
        {
            "key": {"set": 1, "identity": 256, "page": 0, "direction": "ingress"},
            "value": {"steps": [{"protocol": "TCP", "port": 80, "flags": 2, "rules": 7}]},
            "words": {
                "key": {"identity": "256"},
                "value": {"steps": [{"protocol": "TCP", "port": 80, "flags": ["allow"], "rules": 7}]},
            },
        }
    ]


@pytest.mark.parametrize("name", ["", "nonsense"])
def test_a_map_that_does_not_exist_is_answered_with_those_that_do(name: str) -> None:
    with pytest.raises(QuestionRefused, match="there are: .*ipcache"):
        map_asked(name)


def test_places_of_endpoints_that_took_nothing_are_left_out() -> None:
    datapath = FakeDatapath()
    datapath.tables.spent.put(1, EndpointSpent())
    datapath.tables.spent.put(2, EndpointSpent(opened=3))
    rows, _ = dump(datapath, "spent")
    assert [row["value"]["opened"] for row in rows] == [3]
