from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l7proxy.core.authz import Authorizer, Crowd, Denial, Pair, Permit, VerdictMemory
from l7proxy.core.facts import ConnectionFacts
from l7proxy.core.heads import Heads
from l7proxy.core.limits import Limits
from l7proxy.core.refusal import RequestRefused
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
    Protocol,
    ReservedIdentity,
    ResolvedRule,
    RuleRef,
    Verdict,
)
from mesh.policy.decide import decide
from tests.support.playbook import get
from tests.support.proxy import ALLOW_ALL, CLIENT, FACTS, PORT, SERVER, header, ingress, prefix, rule, view
from tests.support.requests import http_matches, http_requests

HEADS = Heads(Limits())


def judge(pair: Pair, raw: bytes) -> Permit | Denial:
    return pair.judge(HEADS.request(raw, b"a").head)


def remembered(pair: Pair) -> int:
    return sum(len(case.verdicts) for case in pair._cases.values())


def test_permit_names_the_rules_of_both_directions() -> None:
    now = view(ingress(rule("in", http=(prefix("/api"),))), egress=ingress(rule("out", http=(prefix("/"),))))
    verdict = judge(Pair(replace(FACTS, egress=True), now), get("/api"))
    assert isinstance(verdict, Permit)
    assert {ref.policy for ref in verdict.grounds.rules} == {"t/in", "t/out"}
    assert verdict.grounds.layer is Layer.L7


def test_denial_names_direction_policy_and_reason() -> None:
    outward_policy = ingress(rule("out", action=Action.DENY, http=(prefix("/x"),)), default_deny=False)
    now = view(ingress(rule("in", http=(prefix("/api"),))), egress=outward_policy)
    pair = Pair(replace(FACTS, egress=True), now)
    inward, outward = judge(pair, get("/no")), judge(pair, get("/x"))
    assert isinstance(inward, Denial)
    assert isinstance(outward, Denial)
    why, reason = inward.grounds, "policy-default"
    assert (why.direction, why.reason, why.rules[0].policy) == (Direction.INGRESS, reason, "t/in")
    why, reason = outward.grounds, "policy-deny"
    assert (why.direction, why.reason, why.rules[0].policy) == (Direction.EGRESS, reason, "t/out")


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, destination_endpoint=9),
        replace(FACTS, egress=True, source_endpoint=9),
        replace(FACTS, ingress=False),
    ],
)
def test_what_is_not_known_is_denied(facts: ConnectionFacts) -> None:
    pair = Pair(facts, ALLOW_ALL)
    assert pair.blocked is not None
    assert pair.blocked.reason == "no-policy"
    assert judge(pair, get()).denied


def test_peer_that_no_rule_names_is_blocked_at_l4_even_where_http_is_open_to_others() -> None:
    others = frozenset({IdentityId(999)})
    pair = Pair(FACTS, view(ingress(rule(http=(prefix("/"),), peers=others))))
    assert pair.blocked is not None
    verdict = judge(pair, get())
    assert isinstance(verdict, Denial)
    assert verdict.grounds.layer is Layer.L3L4


def test_unknown_identity_is_denied_and_the_node_is_not() -> None:
    closed = view(ingress(rule(http=(prefix("/api"),))))
    unknown = Pair(replace(FACTS, source_identity=int(ReservedIdentity.UNKNOWN)), closed)
    node = Pair(replace(FACTS, source_identity=int(ReservedIdentity.HOST)), closed)
    assert judge(unknown, get("/api")).denied
    assert not judge(node, get("/other")).denied


def test_pod_may_talk_to_itself() -> None:
    facts = replace(FACTS, source_endpoint=2, egress=True)
    assert not judge(Pair(facts, view(ingress())), get()).denied


def test_unenforced_half_asks_nothing() -> None:
    now = view(ingress())
    endpoints = {number: replace(endpoint, enforced=False) for number, endpoint in now.endpoints.items()}
    assert not judge(Pair(FACTS, replace(now, endpoints=endpoints)), get()).denied


@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e/b", "/a%2fb", "/a%5cb", "/a\\b", "/a%00", "/%zz"])
def test_ambiguous_paths_are_refused_whatever_policy_says(path: str) -> None:
    with pytest.raises(RequestRefused, match="path"):
        judge(Pair(FACTS, ALLOW_ALL), get(path))


def test_verdicts_are_remembered_by_what_the_rules_look_at() -> None:
    pair = Pair(FACTS, view(ingress(rule(http=(header("x-env", "prod"),)))))
    first = judge(pair, get("/", "X-Env: prod", "X-Id: 1"))
    assert judge(pair, get("/", "x-env:prod ", "X-Id: 2")).denied is False
    assert judge(pair, get("/", "X-Env: prod", "X-Id: 3")) is first
    assert judge(pair, get("/", "X-Env: test")).denied
    assert judge(pair, get("/?q=1", "X-Env: prod")) is first


def test_requests_for_which_the_same_rules_hold_share_their_grounds() -> None:
    pair = Pair(FACTS, view(ingress(rule("a", http=(prefix("/a"),)), rule("b", http=(prefix("/b"),)))))
    first, second, other, denied = (judge(pair, get(path)) for path in ("/a/1", "/a/2", "/b", "/c"))
    assert first.grounds is second.grounds
    assert (first.path, second.path) == ("/a/1", "/a/2")
    assert [verdict.grounds.rules[0].policy for verdict in (first, other)] == ["t/a", "t/b"]
    assert denied.denied
    pair.forget()
    assert judge(pair, get("/a/1")).grounds is not first.grounds


def test_remembered_verdicts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerdictMemory, "LIMIT", 10)
    memory = VerdictMemory()
    pairs = [Pair(FACTS, ALLOW_ALL, memory) for _ in range(4)]
    for number in range(40):
        judge(pairs[number % 4], get(f"/{number}"))
    assert 0 < sum(remembered(pair) + len(pair._grounds) + len(pair._cases) for pair in pairs) <= 10


def test_what_is_remembered_of_a_long_request_is_short() -> None:
    now = view(ingress(rule(http=(prefix("/api"), header("x-env", "prod")))))
    pair = Pair(FACTS, now)
    long_path, long_value = judge(pair, get("/api/" + "a" * 4000)), judge(pair, get("/", "x-env: " + "a" * 4000))
    short = judge(pair, get("/", "x-env: prod"))
    assert (long_path.denied, long_value.denied, short.denied) == (False, True, False)
    assert remembered(pair) == 1
    assert len(long_path.path) == 1024


def test_verdicts_that_no_record_tells_apart_are_not_remembered() -> None:
    """A client that never asks for the same does not push out what was remembered of the others."""
    pair = Pair(FACTS, view(ingress(rule(http=(prefix("/api"),)))))
    first = judge(pair, get("/api/first"))
    first.grounds.crowd.told_apart = Crowd.ROOM
    assert judge(pair, get("/api/other")) is not judge(pair, get("/api/other"))
    assert judge(pair, get("/api/first")) is first
    assert remembered(pair) == 1
    assert judge(pair, get("/denied")) is judge(pair, get("/denied"))


def test_pairs_are_shared_and_forgotten_with_their_revision() -> None:
    authorizer = Authorizer()
    with pytest.raises(RuntimeError):
        authorizer.pair(FACTS)
    authorizer.swap(ALLOW_ALL)
    pair = authorizer.pair(FACTS)
    assert authorizer.pair(replace(FACTS, source_port=1)) is pair
    authorizer.swap(view(ingress(), 2))
    assert authorizer.pair(FACTS) is not pair
    assert authorizer.pair(FACTS).revision == 2


def test_a_view_of_the_same_revision_is_another_one() -> None:
    """What changes on the node alone, as who is attached, comes without a new revision."""
    authorizer = Authorizer()
    authorizer.swap(ALLOW_ALL)
    pair = authorizer.pair(FACTS)
    assert pair.generation == authorizer.generation
    authorizer.swap(ALLOW_ALL)
    assert pair.generation != authorizer.generation == authorizer.pair(FACTS).generation


def test_a_connection_is_judged_by_the_identity_that_its_address_has_now() -> None:
    """The record says what the caller was when it connected; its labels may have changed since."""
    authorizer = Authorizer()
    only_clients = view(ingress(rule(peers=frozenset({CLIENT}))))
    authorizer.swap(only_clients)
    assert authorizer.pair(FACTS).blocked is None
    moved = {ip_address(FACTS.source_ip): IdentityId(999)}
    authorizer.swap(replace(only_clients, moved=moved))
    facts = authorizer.current(FACTS)
    assert (facts.source_identity, facts.destination_identity) == (999, FACTS.destination_identity)
    assert authorizer.pair(FACTS).blocked is not None
    # an agent that was restarted knows no more who moved: what was heard once stays
    authorizer.swap(only_clients)
    assert authorizer.pair(facts).blocked is not None
    authorizer.swap(replace(only_clients, moved={ip_address(FACTS.source_ip): CLIENT}))
    assert authorizer.pair(facts).blocked is None


def test_an_end_that_is_enrolled_later_is_asked_from_then_on() -> None:
    """The record says who was enrolled when the connection began, the view who is now."""
    only_api = ingress(rule(http=(prefix("/api"),)))
    now = view(only_api, egress=only_api)
    known = now.endpoints
    authorizer = Authorizer()
    for number, facts in (
        (2, replace(FACTS, egress=True, ingress=False, destination_endpoint=0)),
        (1, replace(FACTS, source_endpoint=0)),
    ):
        open_end = {k: v for k, v in known.items() if k != number}
        authorizer.swap(replace(now, endpoints=open_end))
        assert authorizer.current(facts) is facts
        authorizer.swap(now)
        enrolled = authorizer.current(facts)
        assert (enrolled.source_endpoint, enrolled.destination_endpoint) == (1, 2)
        assert (enrolled.egress, enrolled.ingress) == (True, True)
        pair = authorizer.pair(facts)
        assert judge(pair, get("/secret")).denied
        assert not judge(pair, get("/api")).denied
        # the pod is gone, or enrolled no more: nobody knows which
        authorizer.swap(replace(now, endpoints=open_end))
        assert authorizer.pair(enrolled).blocked is not None


def test_an_address_that_another_pod_has_now_is_not_the_pod_of_the_record() -> None:
    authorizer = Authorizer()
    authorizer.swap(ALLOW_ALL)
    former = replace(FACTS, destination_endpoint=9)
    assert authorizer.current(former) is former
    assert authorizer.pair(former).blocked is not None


def rules(names: str) -> st.SearchStrategy[ResolvedRule]:
    ref = st.sampled_from(names).map(lambda name: RuleRef(policy=f"t/{name}", kind="MeshPolicy", rule="ingress[0]"))
    peers = st.sampled_from([None, frozenset({CLIENT}), frozenset({SERVER}), frozenset({IdentityId(999)})])
    return st.builds(
        ResolvedRule,
        ref=ref,
        action=st.sampled_from(Action),
        grants=st.builds(lambda who: (Grant(who, (EVERY_PORT,)),), peers),
        http=st.none() | st.lists(http_matches(), min_size=1, max_size=2).map(tuple),
    )


def policies() -> st.SearchStrategy[DirectionPolicy]:
    return st.builds(
        DirectionPolicy,
        default_deny=st.booleans(),
        rules=st.lists(rules("abc"), max_size=4).map(tuple),
        selected_by=st.just((RuleRef(policy="t/a", kind="MeshPolicy"),)),
    )


def as_bytes(request: HttpRequest) -> bytes:
    fields = "".join(f"{name.title()}: {value}\r\n" for name, value in request.headers)
    return f"{request.method} {request.path} HTTP/1.1\r\nHost: {request.host}:8080\r\n{fields}\r\n".encode()


REQUESTS = http_requests().filter(lambda request: request.method.isupper())  # llhttp takes no others
ENFORCED = ((True, True), (True, False), (False, True))


@settings(max_examples=700, deadline=None)
@given(policies(), policies(), st.sampled_from(ENFORCED), st.lists(REQUESTS, min_size=16, max_size=16))
def test_proxy_and_decide_give_one_verdict(
    outward: DirectionPolicy, inward: DirectionPolicy, enforced: tuple[bool, bool], requests: list[HttpRequest]
) -> None:
    """11,200 pairs of policy and request, in three enforcements."""
    facts = replace(FACTS, egress=enforced[0], ingress=enforced[1])
    pair = Pair(facts, view(inward, egress=outward))
    for request in requests:
        if request.path == "*":
            request = replace(request, method="OPTIONS")
        said = judge(pair, as_bytes(request))
        expected = decide(
            FlowQuery(source=CLIENT, destination=SERVER, protocol=Protocol.TCP, port=PORT, request=request),
            egress=outward if facts.egress else None,
            ingress=inward if facts.ingress else None,
        )
        assert said.denied is (expected.verdict is not Verdict.ALLOW)
        assert said.grounds.denied is said.denied
        assert said.grounds.rules == expected.decided_by
        assert said.grounds.layer is expected.layer


def test_matches_that_name_headers_see_the_forwarded_ones_only() -> None:
    absent = HttpMatch(headers=(HeaderMatch("x-admin", Match.ABSENT),))
    pair = Pair(FACTS, view(ingress(rule(http=(absent,)))))
    assert judge(pair, get("/", "X-Admin: 1")).denied
    assert not judge(pair, get("/", "X-Admin: 1", "Connection: x-admin")).denied


def test_header_of_a_deny_rule_is_found_with_an_underscore_too() -> None:
    now = view(ingress(rule("open"), rule("deny", action=Action.DENY, http=(header("x-env", "prod"),))))
    pair = Pair(FACTS, now)
    assert judge(pair, get("/", "X_Env: prod")).denied
    assert judge(pair, get("/", "x-env: test,prod")).denied
    assert not judge(pair, get("/", "x-env: test")).denied
