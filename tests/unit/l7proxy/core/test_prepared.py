from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7proxy.core.prepared import Prepared
from mesh.model import Action, DirectionPolicy, Grant, IdentityId, PortRange, Protocol, ReservedIdentity, ResolvedRule
from mesh.policy.decide import half
from tests.support.proxy import CLIENT, SERVER, header, ingress, prefix, rule

HTTP = rule(http=(prefix("/api"),))
PORTS = st.integers(0, 65535)


def on(low: int, high: int, given: ResolvedRule = HTTP) -> ResolvedRule:
    return replace(given, grants=(Grant(None, (PortRange(Protocol.TCP, low, high),)),))


def test_ports_between_the_same_bounds_share_what_was_prepared() -> None:
    prepared, policy = Prepared(), ingress(on(80, 89), on(85, 99))
    first = prepared.half(policy, CLIENT, 80)
    assert prepared.half(policy, CLIENT, 84) is first
    assert all(prepared.half(policy, CLIENT, port) is not first for port in (79, 85, 89, 90, 99, 100))
    assert prepared.half(policy, CLIENT, 85) is prepared.half(policy, CLIENT, 89)
    assert len(prepared._halves) == 5  # below, the first alone, both, the second alone, above


def test_peers_and_policies_share_nothing() -> None:
    prepared, policy, equal = Prepared(), ingress(HTTP), ingress(HTTP)
    first = prepared.half(policy, CLIENT, 80)
    assert prepared.half(policy, SERVER, 80) is not first
    assert prepared.half(equal, CLIENT, 80) is not first


def rules() -> st.SearchStrategy[ResolvedRule]:
    spans = st.builds(
        lambda protocol, one, other: PortRange(protocol, min(one, other), max(one, other)),
        st.sampled_from((Protocol.TCP, Protocol.UDP)),
        PORTS,
        PORTS,
    )
    peers = st.sampled_from((None, frozenset({CLIENT}), frozenset({SERVER})))
    grants = st.builds(Grant, peers, st.lists(spans, min_size=1, max_size=3).map(tuple))
    return st.builds(
        lambda action, granted, http: replace(rule(action=action, http=http), grants=granted),
        st.sampled_from(Action),
        st.lists(grants, min_size=1, max_size=2).map(tuple),
        st.sampled_from((None, (prefix("/"),))),
    )


@given(st.booleans(), st.lists(rules(), max_size=5).map(tuple), st.lists(PORTS, min_size=1, max_size=20))
def test_what_is_shared_says_what_a_port_of_its_own_would_be_told(
    closed: bool, made: tuple[ResolvedRule, ...], ports: list[int]
) -> None:
    prepared, policy = Prepared(), DirectionPolicy(default_deny=closed, rules=made)
    edges = {
        port + off
        for given in made
        for grant in given.grants
        for span in grant.ports
        for port in (span.low, span.high)
        for off in (-1, 0, 1)
        if 0 <= port + off <= 65535
    }
    for port in (*ports, *sorted(edges)):
        shared, own = prepared.half(policy, CLIENT, port), half(policy, CLIENT, Protocol.TCP, port)
        assert shared.settled == own.settled
        assert shared.decide(None) == own.decide(None)
        assert [one.ref for one in (*shared.allows, *shared.denies)] == [one.ref for one in (*own.allows, *own.denies)]


def test_the_node_is_let_in_and_the_unknown_is_not() -> None:
    prepared = Prepared()
    host = prepared.half(ingress(HTTP), IdentityId(ReservedIdentity.HOST), 80)
    unknown = prepared.half(DirectionPolicy(), IdentityId(ReservedIdentity.UNKNOWN), 80)
    assert host.settled is not None
    assert unknown.settled is not None
    assert (host.settled.verdict.value, unknown.settled.verdict.value) == ("allow", "deny")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prepared, "HALVES", 4)
    prepared, policy = Prepared(), ingress(HTTP)
    for number in range(10):
        prepared.half(policy, IdentityId(300 + number), 80)
    assert 0 < len(prepared._halves) <= 4


def test_header_fields_of_all_policies_are_found_and_others_are_not() -> None:
    prepared = Prepared()
    one, two = ingress(rule(http=(header("x-env", "prod"),))), ingress(rule(http=(header("x-team", "a"),)))
    found = prepared.finder(one, two)
    assert found is not None
    assert found.findall(b"GET / HTTP/1.1\r\nX_Env: prod\r\nX-Id: 1\r\nx-team: b\r\n\r\n") == [
        (b"X_Env", b" prod"),
        (b"x-team", b" b"),
    ]
    assert prepared.finder(one, two) is found
    assert prepared.finder(ingress(HTTP)) is None
