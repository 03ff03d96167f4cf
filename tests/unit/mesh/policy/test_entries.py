"""Compiled entries: their shape, and that the kernel's lookup over them says what `decide` says."""

from __future__ import annotations

from hypothesis import given, settings

from mesh.layouts import POLICY_ALLOW, POLICY_DEFAULT, POLICY_DENY, POLICY_HTTP_ALLOW
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
from mesh.policy.decide import decide
from mesh.policy.entries import Entry, EntryKey, compile_entries, lookup, verdict
from mesh.policy.rules import make_set
from tests.support.policies import STRANGER, flows_of, policy_sets

PEER = IdentityId(300)


def rule(
    index: int, *ports: PortRange, peers: frozenset[IdentityId] | None = None, action: Action = Action.ALLOW,
    http: tuple[HttpMatch, ...] | None = None,
) -> ResolvedRule:  # fmt: skip
    ref = RuleRef(policy="shop/p", kind="MeshPolicy", rule=f"ingress[{index}]", action=action)
    return ResolvedRule(ref=ref, action=action, grants=(Grant(peers, ports or (EVERY_PORT,)),), http=http)


def ingress(*rules: ResolvedRule, closed: bool = True) -> PolicySet:
    return make_set(egress=DirectionPolicy(), ingress=DirectionPolicy(default_deny=closed, rules=rules))


def ingress_entries(policy: PolicySet) -> dict[EntryKey, Entry]:
    return {key: entry for key, entry in compile_entries(policy).items() if key.direction is Direction.INGRESS}


def test_an_open_direction_is_one_wide_entry_of_any_peer() -> None:
    entries = compile_entries(make_set(egress=DirectionPolicy(), ingress=DirectionPolicy()))
    assert entries == {
        EntryKey(direction, ANY_IDENTITY): Entry(POLICY_ALLOW | POLICY_DEFAULT) for direction in Direction
    }


def test_a_closed_direction_without_rules_has_no_entry() -> None:
    assert ingress_entries(ingress()) == {}
    assert lookup({}, Direction.INGRESS, PEER, Protocol.TCP, 80) == (0, (), ())
    assert verdict(0) == (Verdict.DENY, False)


def test_one_port_is_one_entry() -> None:
    allow = rule(0, PortRange(Protocol.TCP, 80, 80), peers=frozenset({PEER}))
    assert ingress_entries(ingress(allow)) == {
        EntryKey(Direction.INGRESS, PEER, 6, 80, 16): Entry(POLICY_ALLOW, (allow.ref,))
    }


def test_a_whole_protocol_has_no_port_bits() -> None:
    allow = rule(0, PortRange(Protocol.UDP))
    assert ingress_entries(ingress(allow)) == {
        EntryKey(Direction.INGRESS, ANY_IDENTITY, 17, 0, 0): Entry(POLICY_ALLOW, (allow.ref,))
    }


def test_a_range_costs_prefixes_not_ports() -> None:
    entries = ingress_entries(ingress(rule(0, PortRange(Protocol.TCP, 1, 65534))))
    assert len(entries) == 30
    assert lookup(entries, Direction.INGRESS, PEER, Protocol.TCP, 0)[0] == 0
    assert lookup(entries, Direction.INGRESS, PEER, Protocol.TCP, 65535)[0] == 0
    assert lookup(entries, Direction.INGRESS, PEER, Protocol.TCP, 12345)[0] == POLICY_ALLOW


def test_the_longest_entry_of_a_chain_is_final() -> None:
    wide = rule(0, peers=frozenset({PEER}))
    narrow = rule(1, PortRange(Protocol.TCP, 80, 80), peers=frozenset({PEER}), http=(HttpMatch(methods=("GET",)),))
    entries = ingress_entries(ingress(wide, narrow))
    assert entries[EntryKey(Direction.INGRESS, PEER, 6, 80, 16)] == Entry(
        POLICY_ALLOW | POLICY_HTTP_ALLOW, (wide.ref, narrow.ref)
    )


def test_the_default_of_an_open_direction_reaches_every_entry_of_its_chain() -> None:
    deny = rule(0, PortRange(Protocol.TCP, 22, 22), action=Action.DENY)
    entries = ingress_entries(ingress(deny, closed=False))
    assert entries[EntryKey(Direction.INGRESS, ANY_IDENTITY, 6, 22, 16)] == Entry(
        POLICY_DENY | POLICY_ALLOW | POLICY_DEFAULT, (deny.ref,)
    )


def test_the_two_chains_are_reported_apart() -> None:
    named, anyone = rule(0, peers=frozenset({PEER})), rule(1, PortRange(Protocol.TCP, 80, 80))
    entries = ingress_entries(ingress(named, anyone))
    assert lookup(entries, Direction.INGRESS, PEER, Protocol.TCP, 80) == (POLICY_ALLOW, (named.ref,), (anyone.ref,))
    assert lookup(entries, Direction.INGRESS, STRANGER, Protocol.TCP, 80) == (POLICY_ALLOW, (), (anyone.ref,))


def test_five_thousand_ports_stay_cheap() -> None:
    rules = [rule(number, PortRange(Protocol.TCP, 2 * number, 2 * number)) for number in range(5000)]
    assert len(ingress_entries(ingress(*rules))) == 5000


@settings(max_examples=80, deadline=None)
@given(policy_sets())
def test_lookup_agrees_with_decide(policy: PolicySet) -> None:
    """Flow by flow: the same verdict, the same need for the proxy, and no rule that did not speak of the flow."""
    entries = compile_entries(policy)
    own = IdentityId(200)
    for flow in flows_of(policy):
        flags, peer_rules, any_rules = lookup(entries, flow.direction, flow.peer, flow.protocol, flow.port)
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
