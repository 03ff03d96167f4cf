"""The policy map as people read it: whole chains, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.datapath.fake import FakeDatapath
from agent.datapath.tables import PolicyKey, PolicyStep
from agent.desired import Numbers
from agent.mapwords import MapWords
from agent.policychains import Said, chain_rows, said_by, steps_of
from agent.policypages import pages_of
from mesh.layouts import IDENTITY_ANY, POLICY_ALLOW, POLICY_DENY, POLICY_FINAL
from tests.support import nodes

NOTHING = PolicyStep(0, 0, 0)


def allow(protocol: int, port: int, rules: int = 1) -> PolicyStep:
    return PolicyStep(protocol, port, POLICY_ALLOW, rules)


def nothing(protocol: int, port: int) -> PolicyStep:
    return PolicyStep(protocol, port, POLICY_FINAL)


@given(st.sets(st.tuples(st.sampled_from((1, 6, 17, 132)), st.integers(0, 65535)), max_size=400))
def test_a_chain_is_read_back_from_its_pages(places: set[tuple[int, int]]) -> None:
    chain = tuple(allow(*place, rules=number) for number, place in enumerate(sorted({(0, 0), *places}), 1))
    assert steps_of(pages_of(chain).get) == chain


def test_ports_of_which_the_same_is_said_stand_together() -> None:
    steps = (
        NOTHING,
        *(step for port in (80, 443) for step in (allow(6, port), nothing(6, port + 1))),
        allow(6, 8000),
        PolicyStep(6, 8011, POLICY_DENY, 2),
        nothing(6, 8012),
        allow(17, 0),
        nothing(18, 0),
    )
    assert said_by(steps) == (Said("TCP 80,443,8000-8010, UDP", POLICY_ALLOW, 1), Said("TCP 8011", POLICY_DENY, 2))


def test_ranges_that_reach_over_protocols() -> None:
    assert said_by((allow(0, 0),)) == (Said("every port", POLICY_ALLOW, 1),)
    assert said_by((allow(0, 0), nothing(6, 80), allow(6, 81))) == (
        Said("protocols 0-5, TCP 0-79,81-65535, protocols 7-255", POLICY_ALLOW, 1),
    )
    assert said_by((NOTHING, allow(1, 0), nothing(2, 0), allow(47, 9), nothing(132, 1))) == (
        Said("ICMP, protocol 47 9-65535, protocols 48-131, SCTP 0", POLICY_ALLOW, 1),
    )


def test_nothing_is_said_of_no_port() -> None:
    assert said_by((NOTHING,)) == ()
    assert said_by((nothing(0, 0),)) == ()


def test_rows_are_in_order_and_have_words() -> None:
    table = FakeDatapath().tables.policy
    numbers = Numbers()
    rule = nodes.allow(256).ref
    long = tuple(allow(6, port, numbers.rules.number((rule,))) for port in range(0, 100, 2))
    for number, identity, direction, chain in (
        (10, 256, 1, (allow(0, 0, 0),)),
        (9, IDENTITY_ANY, 0, ()),
        (9, 2, 0, ()),
    ):
        for page, held in pages_of(chain or (NOTHING, *long)).items():
            table.put(PolicyKey(set=number, identity=identity, direction=direction, page=page), held)
    rows, cut = chain_rows(table, MapWords({}, numbers, {}), 100)
    assert [(row["set"], row["direction"], row["identity"]) for row in rows] == [
        (9, "egress", "world"),
        (9, "egress", "any"),
        (10, "ingress", "256"),
    ]
    assert not cut
    assert rows[0]["says"][0]["flags"] == ["allow"]
    assert rows[0]["says"][0]["rules"] == [f"{rule.kind} {rule.policy} {rule.rule}"]
    assert rows[2]["says"] == [{"ports": "every port", "flags": ["allow"], "rules": []}]
    assert chain_rows(table, MapWords({}, numbers, {}), 2) == (rows[:2], True), "never in the middle of a chain"


def test_a_page_that_is_missing_is_said() -> None:
    table = FakeDatapath().tables.policy
    pages = pages_of(tuple(allow(6 if port else 0, port) for port in range(8)))
    for page, held in pages.items():
        if page != 2:
            table.put(PolicyKey(set=1, identity=2, direction=0, page=page), held)
    (row,), _ = chain_rows(table, MapWords({}, Numbers(), {}), 9)
    assert row["says"] == [
        {"ports": "protocols 0-5, TCP 0-6", "flags": ["allow"], "rules": []},
        {"ports": "TCP 7-65535, protocols 7-255", "flags": ["page-missing"], "rules": []},
    ]
