"""Which live flows must end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.datapath.tables import CtEntry, CtKey, EndpointEntry, IpcacheEntry, IpcacheKey
from agent.evaluate import Question, condemned
from agent.moves import Cover
from mesh.layouts import CT_PROXIED, CT_UPSTREAM
from mesh.model import Action, PolicySet
from tests.support import nodes

POD, PEER = nodes.address("10.9.0.1"), nodes.address("10.9.1.1")
KEY = CtKey(endpoint=1, direction=1, protocol=6, source=PEER, destination=POD, sport=4000, dport=80)
ENTRY = CtEntry(
    created_ns=0, expires_ns=10**18, packets=1, bytes=1, epoch=1, flags=0, peer_identity=256, rules_peer=0, rules_any=0,
    service=0,
)  # fmt: skip
ENDPOINT = EndpointEntry(
    ifindex=11, policy_set=1, epoch=2, flags=1, identity4=300, identity6=0, addr4=POD, addr6=None, netns_cookie=1
)


def asked(policy: PolicySet | None, identity: int = 256) -> Question:
    cover = Cover({IpcacheKey(nodes.prefix("10.9.1.1/32")): IpcacheEntry(identity)})
    return Question(endpoints={1: ENDPOINT}, policies={} if policy is None else {1: policy}, cover=cover)


def test_what_is_still_allowed_lives() -> None:
    assert condemned([(KEY, ENTRY)], asked(nodes.policy("a", nodes.allow(256)))) == []


@pytest.mark.parametrize(
    "policy",
    [
        nodes.policy("a"),
        nodes.policy("a", nodes.allow(257)),
        nodes.policy("a", nodes.allow(256), nodes.allow(256, action=Action.DENY)),
        nodes.policy("a", nodes.allow(256, http=True)),
        None,
    ],
)
def test_what_is_denied_or_needs_the_proxy_now_ends(policy: PolicySet | None) -> None:
    assert [item.key for item in condemned([(KEY, ENTRY)], asked(policy))] == [KEY]


def test_the_peer_is_judged_by_who_it_is_now() -> None:
    question = asked(nodes.policy("a", nodes.allow(256)), identity=257)
    assert [item.key for item in condemned([(KEY, ENTRY)], question)] == [KEY]


@pytest.mark.parametrize("flags", [CT_PROXIED, CT_UPSTREAM])
def test_flows_of_the_proxy_are_the_proxys(flags: int) -> None:
    assert condemned([(KEY, replace(ENTRY, flags=flags))], asked(nodes.policy("a"))) == []


def test_fresh_flows_the_node_itself_and_other_protocols_are_left_alone() -> None:
    deny = nodes.policy("a")
    assert condemned([(KEY, replace(ENTRY, epoch=2))], asked(deny)) == []
    assert condemned([(KEY, ENTRY)], asked(deny, identity=1)) == []
    assert condemned([(replace(KEY, protocol=1), ENTRY)], asked(deny)) == []
    assert condemned([(replace(KEY, source=POD), ENTRY)], asked(deny)) == []
    assert condemned([(replace(KEY, endpoint=9), ENTRY)], asked(deny)) == []


def test_egress_is_judged_by_its_destination() -> None:
    key = replace(KEY, direction=0, source=POD, destination=PEER)
    assert condemned([(key, ENTRY)], asked(nodes.policy("a"))) == []
