"""Requests against matches, and one direction prepared for a peer and a port."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.model import (
    EVERY_PORT,
    Action,
    Direction,
    DirectionPolicy,
    FlowQuery,
    Grant,
    HeaderMatch,
    HttpMatch,
    HttpRequest,
    IdentityId,
    Layer,
    Match,
    PathMatch,
    PortRange,
    Protocol,
    ResolvedRule,
    RuleRef,
    Verdict,
)
from mesh.policy.decide import decide
from mesh.policy.http import PreparedMatch, matches, prepare
from tests.support.policies import IDENTITIES, STRANGER, direction_policies
from tests.support.requests import http_requests

PEER = IdentityId(300)


def request(method: str = "GET", path: str = "/", host: str = "payments.shop", **headers: str) -> HttpRequest:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpRequest(method=method, path=path, host=host, headers=named)


def path(match: Match, value: str) -> HttpMatch:
    return HttpMatch(paths=(PathMatch(match, value),))


def header(match: Match, value: str = "") -> HttpMatch:
    return HttpMatch(headers=(HeaderMatch("x-env", match, value),))


@pytest.mark.parametrize(
    ("match", "asked", "holds"),
    [
        (HttpMatch(), request(), True),
        (HttpMatch(methods=("GET", "HEAD")), request("HEAD"), True),
        (HttpMatch(methods=("GET",)), request("POST"), False),
        (HttpMatch(methods=("GET",)), request("get"), False),
        (path(Match.EXACT, "/a"), request(path="/a"), True),
        (path(Match.EXACT, "/a"), request(path="/a/"), False),
        (path(Match.PREFIX, "/api"), request(path="/api"), True),
        (path(Match.PREFIX, "/api"), request(path="/api/x"), True),
        (path(Match.PREFIX, "/api"), request(path="/apix"), False),
        (path(Match.PREFIX, "/api/"), request(path="/api"), True),
        (path(Match.PREFIX, "/api/"), request(path="/api/x"), True),
        (path(Match.PREFIX, "/"), request(path="/anything"), True),
        (path(Match.PREFIX, "/"), request(path="*"), False),
        (path(Match.REGEX, "/v[0-9]+"), request(path="/v12"), True),
        (path(Match.REGEX, "/v[0-9]+"), request(path="/v12/x"), False),
        (HttpMatch(hosts=("payments.shop",)), request(host="payments.shop."), True),
        (HttpMatch(hosts=("payments.shop",)), request(host="bank.shop"), False),
        (header(Match.EXACT, "prod"), request(x_env="prod"), True),
        (header(Match.EXACT, "prod"), request(x_env="production"), False),
        (header(Match.PREFIX, "prod"), request(x_env="production"), True),
        (header(Match.REGEX, "p.*d"), request(x_env="prod"), True),
        (header(Match.REGEX, "p"), request(x_env="prod"), False),
        (header(Match.PRESENT), request(x_env=""), True),
        (header(Match.PRESENT), request(), False),
        (header(Match.ABSENT), request(), True),
        (header(Match.ABSENT), request(x_env=""), False),
    ],
)
def test_matching(match: HttpMatch, asked: HttpRequest, holds: bool) -> None:
    assert matches(match, asked) is holds


def test_everything_given_must_hold_and_entries_of_a_list_are_alternatives() -> None:
    match = HttpMatch(methods=("GET",), paths=(PathMatch(Match.EXACT, "/a"), PathMatch(Match.EXACT, "/b")))
    assert [matches(match, request(method, at)) for method, at in (("GET", "/a"), ("GET", "/b"), ("POST", "/a"))] == [
        True, True, False,
    ]  # fmt: skip


def test_any_value_of_a_repeated_header_may_match() -> None:
    twice = HttpRequest(method="GET", path="/", host="", headers=(("x-env", "test"), ("x-env", "prod")))
    assert matches(header(Match.EXACT, "prod"), twice)
    assert not matches(header(Match.ABSENT), twice)


def test_a_deny_rule_also_takes_what_a_lenient_server_would_read_alike() -> None:
    deny = PreparedMatch(HttpMatch(methods=("POST",), paths=(PathMatch(Match.PREFIX, "/admin"),)), Action.DENY)
    allow = PreparedMatch(HttpMatch(methods=("POST",), paths=(PathMatch(Match.PREFIX, "/admin"),)), Action.ALLOW)
    for asked in (request("post", "/admin"), request("POST", "//admin/x"), request("Post", "///admin")):
        assert deny.holds(asked)
        assert not allow.holds(asked)


@pytest.mark.parametrize("asked", ["/us%40er", "/us@er", "//us%40er", "/us%40er%3Bv=1"])
@pytest.mark.parametrize("value", ["/us@er", "/us%40er"])
def test_a_deny_rule_reads_escaped_reserved_characters_as_themselves(value: str, asked: str) -> None:
    for match in (Match.EXACT, Match.PREFIX):
        assert PreparedMatch(path(match, value), Action.DENY).holds(request(path=asked))
    assert PreparedMatch(path(Match.REGEX, "/+us@e[r]"), Action.DENY).holds(request(path=asked))
    assert PreparedMatch(path(Match.EXACT, value), Action.ALLOW).holds(request(path=asked)) is (value == asked)


def test_a_deny_rule_looks_past_path_parameters() -> None:
    for path_match in (PathMatch(Match.EXACT, "/admin"), PathMatch(Match.PREFIX, "/admin")):
        match = HttpMatch(paths=(path_match,))
        for spelt in ("/admin;x=1", "/;a/admin", "//admin;x", "/admin;"):
            assert PreparedMatch(match, Action.DENY).holds(request(path=spelt)), spelt
            assert not PreparedMatch(match, Action.ALLOW).holds(request(path=spelt)), spelt


@pytest.mark.parametrize(
    "headers",
    [(("x_env", "prod"),), (("x-env", "test, prod"),), (("x-env", "prod,"),), (("x_env", "a ,\tprod , b"),)],
)
def test_a_deny_rule_looks_at_each_value_however_the_header_is_spelt(headers: tuple[tuple[str, str], ...]) -> None:
    asked = HttpRequest(method="GET", path="/", host="", headers=headers)
    assert PreparedMatch(header(Match.EXACT, "prod"), Action.DENY).holds(asked)
    assert not PreparedMatch(header(Match.EXACT, "prod"), Action.ALLOW).holds(asked)


def test_absent_means_that_no_spelling_of_the_header_is_there() -> None:
    asked = HttpRequest(method="GET", path="/", host="", headers=(("x_env", "prod"),))
    assert not PreparedMatch(header(Match.ABSENT), Action.ALLOW).holds(asked)
    assert PreparedMatch(header(Match.ABSENT), Action.DENY).holds(asked)


def rule(index: int, action: Action = Action.ALLOW, http: HttpMatch | None = None, **grant: Any) -> ResolvedRule:
    ref = RuleRef(policy=f"shop/p{index}", kind="MeshPolicy", rule=f"ingress[{index}]", action=action)
    given = Grant(grant.get("peers"), grant.get("ports", (EVERY_PORT,)))
    return ResolvedRule(ref=ref, action=action, grants=(given,), http=None if http is None else (http,))


GET, POST = HttpMatch(methods=("GET",)), HttpMatch(methods=("POST",))
CLOSED_BY = (RuleRef(policy="shop/closer", kind="NetworkPolicy"),)


def closed(*rules: ResolvedRule) -> DirectionPolicy:
    return DirectionPolicy(default_deny=True, selected_by=CLOSED_BY, rules=rules)


def test_a_rule_about_requests_opens_the_port_for_just_those() -> None:
    half = prepare(closed(rule(0, http=GET)), PEER, Protocol.TCP, 80)
    assert half.needs_l7
    assert half.decide(None).verdict is Verdict.ALLOW
    allowed, denied = half.decide(request("GET")), half.decide(request("POST"))
    assert (allowed.verdict, allowed.layer, [ref.rule for ref in allowed.decided_by]) == (
        Verdict.ALLOW, Layer.L7, ["ingress[0]"],
    )  # fmt: skip
    assert (denied.verdict, denied.layer, denied.default) == (Verdict.DENY, Layer.L7, True)
    assert denied.decided_by == (RuleRef(policy="shop/p0", kind="MeshPolicy"),)


def test_one_plain_allow_opens_it_wholly() -> None:
    half = prepare(closed(rule(0, http=GET), rule(1)), PEER, Protocol.TCP, 80)
    assert not half.needs_l7
    assert half.decide(request("POST")).decided_by == (rule(1).ref,)


def test_a_deny_of_requests_beats_every_allow() -> None:
    half = prepare(closed(rule(0), rule(1, http=GET), rule(2, Action.DENY, GET)), PEER, Protocol.TCP, 80)
    assert half.decide(request("GET")).decided_by == (rule(2, Action.DENY).ref,)
    assert half.decide(request("POST")).decided_by == (rule(0).ref,)


def test_a_plain_deny_beats_everything_and_needs_no_request() -> None:
    half = prepare(closed(rule(0), rule(1, http=GET), rule(2, Action.DENY)), PEER, Protocol.TCP, 80)
    assert half.settled is not None
    assert (half.settled.verdict, half.settled.layer, half.settled.default) == (Verdict.DENY, Layer.L3L4, False)


def test_a_deny_of_requests_on_an_open_direction() -> None:
    half = prepare(DirectionPolicy(rules=(rule(0, Action.DENY, POST),)), PEER, Protocol.TCP, 80)
    assert half.decide(request("POST")).verdict is Verdict.DENY
    left = half.decide(request("GET"))
    assert (left.verdict, left.default, left.decided_by) == (Verdict.ALLOW, True, ())


def test_a_deny_of_requests_opens_nothing() -> None:
    half = prepare(closed(rule(0, Action.DENY, POST)), PEER, Protocol.TCP, 80)
    assert half.settled is not None
    assert (half.settled.verdict, half.settled.default, half.settled.decided_by) == (Verdict.DENY, True, CLOSED_BY)


def test_a_peer_that_no_rule_names_is_refused_at_l4() -> None:
    half = prepare(closed(rule(0, http=GET, peers=frozenset({PEER}))), STRANGER, Protocol.TCP, 80)
    assert half.settled is not None
    assert half.settled.layer is Layer.L3L4


def test_rules_speak_of_their_ports_only() -> None:
    policy = closed(rule(0, ports=(PortRange(Protocol.TCP, 80, 90),)))
    verdicts = [prepare(policy, PEER, *at).decide(None).verdict for at in ((6, 80), (6, 90), (6, 91), (17, 80))]
    assert verdicts == [Verdict.ALLOW, Verdict.ALLOW, Verdict.DENY, Verdict.DENY]


@settings(max_examples=200, deadline=None)
@given(direction_policies(Direction.INGRESS), st.lists(http_requests(), min_size=1, max_size=8), st.data())
def test_the_prepared_form_agrees_with_decide(
    policy: DirectionPolicy, asked: list[HttpRequest], data: st.DataObject
) -> None:
    peer = data.draw(st.sampled_from((*IDENTITIES, STRANGER)))
    half = prepare(policy, peer, Protocol.TCP, 80)
    for one in asked:
        query = FlowQuery(source=peer, destination=IdentityId(200), protocol=Protocol.TCP, port=80, request=one)
        decision = decide(query, egress=None, ingress=policy)
        assert decision.ingress == half.decide(one)
        assert decision.verdict is half.decide(one).verdict
