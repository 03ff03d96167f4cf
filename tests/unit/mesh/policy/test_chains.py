"""Compiled chains: their shape, and that the kernel's lookup over them says what `decide` says."""

from __future__ import annotations

from hypothesis import given, settings

from mesh.layouts import POLICY_ALLOW, POLICY_DEFAULT, POLICY_DENY, POLICY_FINAL, POLICY_HTTP_ALLOW
from mesh.model import (
    ANY_IDENTITY,
    EVERY_PORT,
    Action,
    Direction,
    DirectionPolicy,
    FlowQuery,
    Grant,
    HttpMatch,
    IdentityId,
    PolicySet,
    PortRange,
    Protocol,
    ResolvedRule,
    RuleRef,
    Verdict,
)
from mesh.policy.chains import Chain, ChainKey, Step, compile_chains, lookup, verdict
from mesh.policy.decide import decide
from mesh.policy.rules import make_set
from tests.support.policies import STRANGER, flows_of, policy_sets

PEER = IdentityId(300)
ALLOW, FINAL = POLICY_ALLOW, POLICY_FINAL


def rule(
    index: int, *ports: PortRange, peers: frozenset[IdentityId] | None = None, action: Action = Action.ALLOW,
    http: tuple[HttpMatch, ...] | None = None,
) -> ResolvedRule:  # fmt: skip
    ref = RuleRef(policy="shop/p", kind="MeshPolicy", rule=f"ingress[{index}]", action=action)
    return ResolvedRule(ref=ref, action=action, grants=(Grant(peers, ports or (EVERY_PORT,)),), http=http)


def ingress(*rules: ResolvedRule, closed: bool = True) -> PolicySet:
    return make_set(egress=DirectionPolicy(), ingress=DirectionPolicy(default_deny=closed, rules=rules))


def ingress_chains(policy: PolicySet) -> dict[IdentityId, Chain]:
    return {key.identity: chain for key, chain in compile_chains(policy).items() if key.direction is Direction.INGRESS}


def test_an_open_direction_is_one_wide_step_of_any_peer() -> None:
    chains = compile_chains(make_set(egress=DirectionPolicy(), ingress=DirectionPolicy()))
    assert chains == {
        ChainKey(direction, ANY_IDENTITY): (Step(0, 0, POLICY_ALLOW | POLICY_DEFAULT),) for direction in Direction
    }


def test_a_closed_direction_without_rules_has_no_chain() -> None:
    assert ingress_chains(ingress()) == {}
    assert lookup({}, Direction.INGRESS, PEER, Protocol.TCP, 80) == (0, (), ())
    assert verdict(0) == (Verdict.DENY, False)


def test_one_port_lies_between_two_steps_that_say_nothing() -> None:
    allow = rule(0, PortRange(Protocol.TCP, 80, 80), peers=frozenset({PEER}))
    assert ingress_chains(ingress(allow)) == {
        PEER: (Step(0, 0, FINAL), Step(6, 80, ALLOW | FINAL, (allow.ref,)), Step(6, 81, FINAL))
    }


def test_a_whole_protocol_ends_where_the_next_one_begins() -> None:
    allow = rule(0, PortRange(Protocol.UDP))
    assert ingress_chains(ingress(allow)) == {
        ANY_IDENTITY: (Step(0, 0, 0), Step(17, 0, POLICY_ALLOW, (allow.ref,)), Step(18, 0, 0))
    }


def test_a_range_costs_two_steps_however_wide() -> None:
    policy = ingress(rule(0, PortRange(Protocol.TCP, 1, 65534)))
    assert len(ingress_chains(policy)[ANY_IDENTITY]) == 3
    chains = compile_chains(policy)
    assert lookup(chains, Direction.INGRESS, PEER, Protocol.TCP, 0)[0] == 0
    assert lookup(chains, Direction.INGRESS, PEER, Protocol.TCP, 65535)[0] == 0
    assert lookup(chains, Direction.INGRESS, PEER, Protocol.TCP, 12345)[0] == POLICY_ALLOW


def test_ranges_of_one_rule_that_touch_are_one() -> None:
    allow = rule(0, PortRange(Protocol.TCP, 80, 89), PortRange(Protocol.TCP, 90, 99))
    assert [(step.port, step.flags) for step in ingress_chains(ingress(allow))[ANY_IDENTITY]] == [
        (0, 0), (80, POLICY_ALLOW), (100, 0)
    ]  # fmt: skip


def test_a_step_has_all_that_covers_its_ports() -> None:
    wide = rule(0, peers=frozenset({PEER}))
    narrow = rule(1, PortRange(Protocol.TCP, 80, 80), peers=frozenset({PEER}), http=(HttpMatch(methods=("GET",)),))
    assert ingress_chains(ingress(wide, narrow))[PEER] == (
        Step(0, 0, ALLOW | FINAL, (wide.ref,)),
        Step(6, 80, ALLOW | POLICY_HTTP_ALLOW | FINAL, (wide.ref, narrow.ref)),
        Step(6, 81, ALLOW | FINAL, (wide.ref,)),
    )


def test_the_default_of_an_open_direction_reaches_every_step_of_its_chain() -> None:
    deny = rule(0, PortRange(Protocol.TCP, 22, 22), action=Action.DENY)
    default = POLICY_ALLOW | POLICY_DEFAULT
    assert ingress_chains(ingress(deny, closed=False))[ANY_IDENTITY] == (
        Step(0, 0, default),
        Step(6, 22, POLICY_DENY | default, (deny.ref,)),
        Step(6, 23, default),
    )


def test_a_step_is_final_where_nothing_is_said_of_every_peer() -> None:
    named = rule(0, PortRange(Protocol.TCP, 80, 89), PortRange(Protocol.UDP), peers=frozenset({PEER}))
    anyone = rule(1, PortRange(Protocol.TCP, 89, 99), PortRange(Protocol.SCTP), action=Action.DENY)
    finals = [step.flags & FINAL for step in ingress_chains(ingress(named, anyone))[PEER]]
    assert [(step.protocol, step.port) for step in ingress_chains(ingress(named, anyone))[PEER]] == [
        (0, 0), (6, 80), (6, 90), (17, 0), (18, 0)
    ]  # fmt: skip
    assert finals == [FINAL, 0, 0, FINAL, 0]


def test_no_step_is_final_where_everything_is_allowed_by_default() -> None:
    deny = rule(0, PortRange(Protocol.TCP, 22, 22), peers=frozenset({PEER}), action=Action.DENY)
    assert not any(step.flags & FINAL for step in ingress_chains(ingress(deny, closed=False))[PEER])


def test_identities_of_whom_the_same_is_said_share_a_chain() -> None:
    other = IdentityId(301)
    chains = ingress_chains(ingress(rule(0, PortRange(Protocol.TCP, 80, 80), peers=frozenset({PEER, other}))))
    assert chains[PEER] is chains[other]


def test_the_two_chains_are_reported_apart() -> None:
    named, anyone = rule(0, peers=frozenset({PEER})), rule(1, PortRange(Protocol.TCP, 80, 80))
    chains = compile_chains(ingress(named, anyone))
    assert lookup(chains, Direction.INGRESS, PEER, Protocol.TCP, 80) == (POLICY_ALLOW, (named.ref,), (anyone.ref,))
    assert lookup(chains, Direction.INGRESS, STRANGER, Protocol.TCP, 80) == (POLICY_ALLOW, (), (anyone.ref,))


def test_five_thousand_ports_stay_cheap() -> None:
    rules = [rule(number, PortRange(Protocol.TCP, 2 * number, 2 * number)) for number in range(5000)]
    assert len(ingress_chains(ingress(*rules))[ANY_IDENTITY]) == 10_001


@settings(max_examples=80, deadline=None)
@given(policy_sets())
def test_lookup_agrees_with_decide(policy: PolicySet) -> None:
    """Flow by flow: the same verdict, the same need for the proxy, and no rule that did not speak of the flow."""
    chains = compile_chains(policy)
    own = IdentityId(200)
    for flow in flows_of(policy):
        flags, peer_rules, any_rules = lookup(chains, flow.direction, flow.peer, flow.protocol, flow.port)
        outgoing = flow.direction is Direction.EGRESS
        decision = decide(
            FlowQuery(
                source=own if outgoing else flow.peer,
                destination=flow.peer if outgoing else own,
                protocol=flow.protocol,
                port=flow.port,
            ),
            egress=policy.egress if outgoing else None,
            ingress=None if outgoing else policy.ingress,
        )
        assert verdict(flags) == (decision.verdict, decision.needs_l7), flow
        half = decision.egress if outgoing else decision.ingress
        assert half is not None
        if not half.default:
            assert set(half.decided_by) <= {*peer_rules, *any_rules}
