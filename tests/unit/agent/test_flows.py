"""Events become records with names."""

from __future__ import annotations

from dataclasses import replace

from agent.datapath.tables import FlowEvent
from agent.desired import Numbers
from agent.flows import FlowLog, Names, completed, drop_reason, record_of
from mesh.layouts import DropReason
from mesh.model import Action, FlowRecord, HttpMatch, IdentityId, Party, PolicySet, Protocol, Verdict
from tests.support import nodes

RULE, DENY = nodes.allow(256, name="read"), nodes.allow(256, action=Action.DENY)
POLICY = nodes.policy("a", RULE)
EVENT = FlowEvent(
    time_ns=5, endpoint=1, peer_endpoint=0, src_identity=256, dst_identity=300, policy_set=4, rules_peer=0, rules_any=0,
    service=0, flags=0, reason=0, verdict=1, direction=1, protocol=6, tcp_flags=2, source=nodes.address("10.9.1.1"),
    destination=nodes.address("10.9.0.1"), sport=4000, dport=80, bytes=60,
)  # fmt: skip


def names(numbers: Numbers | None = None) -> Names:
    state = nodes.node(
        nodes.snapshot(pods=[nodes.pod("a", "10.9.0.1", 300, "a")], peers={"10.9.1.1/32": 256}, policies=[POLICY])
    )

    def policy_of(number: int, endpoint: int) -> PolicySet | None:
        return POLICY if (number, endpoint) == (4, 1) else None

    return Names(state=state, numbers=numbers or Numbers(), policy_of=policy_of)


def record(event: FlowEvent, told: Names) -> FlowRecord:
    found = record_of(event, told, id="x", wall_ns=9)
    assert found is not None
    return found


def test_an_allow_names_the_rules_that_allowed() -> None:
    numbers = Numbers()
    number = numbers.rules.number((RULE.ref, DENY.ref))
    found = record(replace(EVENT, rules_peer=number), names(numbers))
    assert found.rules == (RULE.ref,)
    assert (found.verdict, found.drop_reason, found.protocol) == (Verdict.ALLOW, "", Protocol.TCP)


def test_a_deny_names_the_rules_that_denied() -> None:
    numbers = Numbers()
    number = numbers.rules.number((RULE.ref, DENY.ref))
    event = replace(EVENT, verdict=2, reason=DropReason.DROP_POLICY_DENY, rules_any=number)
    found = record(event, names(numbers))
    assert found.rules == (DENY.ref,)
    assert found.drop_reason == "policy-deny"


def test_a_default_deny_names_the_policies_behind_it() -> None:
    event = replace(EVENT, verdict=2, reason=DropReason.DROP_POLICY_DEFAULT, src_identity=999)
    assert record(event, names()).rules == POLICY.ingress.selected_by


def test_a_default_deny_does_not_name_rules_about_requests() -> None:
    """A port may carry an HTTP Deny rule and still be closed because nothing allows it."""
    numbers = Numbers()
    number = numbers.rules.number((DENY.ref,))
    event = replace(EVENT, verdict=2, reason=DropReason.DROP_POLICY_DEFAULT, src_identity=999, rules_any=number)
    assert record(event, names(numbers)).rules == POLICY.ingress.selected_by


def test_a_direct_flow_that_ends_for_the_proxy_names_the_rules_about_requests() -> None:
    asking = replace(nodes.allow(256, name="get"), http=(HttpMatch(methods=("GET",)),))
    policy = nodes.policy("a", RULE, asking)
    numbers = Numbers()
    number = numbers.rules.number((RULE.ref, asking.ref))
    event = replace(EVENT, verdict=2, reason=DropReason.DROP_NEEDS_PROXY_NOW, rules_any=number)
    told = replace(names(numbers), policy_of=lambda number, endpoint: policy)
    assert record(event, told).rules == (asking.ref,)


def test_a_record_of_the_proxy_gets_the_names_that_it_lacks() -> None:
    bare = replace(record(EVENT, names()), source=Party(ip="10.9.1.1", port=4000, identity=IdentityId(256)))
    assert completed(bare, names()).source.pod == "peer-256"


def test_parties_have_names() -> None:
    found = record(EVENT, names())
    assert (found.source.pod, found.source.service_account, found.source.ip) == ("peer-256", "sa-256", "10.9.1.1")
    assert found.destination.port == 80


def test_a_redirect_is_no_record() -> None:
    assert record_of(replace(EVENT, verdict=3), names(), id="x", wall_ns=0) is None


def test_an_unknown_reason_stays_readable() -> None:
    assert drop_reason(250) == "reason-250"


def test_equal_records_are_counted_together_whatever_their_client_port() -> None:
    log = FlowLog()
    for port in (1, 2, 3):
        log.add(record(replace(EVENT, sport=port), names()))
    log.add(record(replace(EVENT, dport=81), names()))
    records, lost = log.take(10)
    assert ([item.count for item in records], lost) == ([3, 1], 0)
    assert len(log) == 0


def test_one_pods_denials_push_out_no_denial_of_another() -> None:
    log = FlowLog(limit=4)
    scanned = record(replace(EVENT, verdict=2, reason=DropReason.DROP_POLICY_DEFAULT), names())
    noisy, quiet = (
        replace(scanned, source=replace(scanned.source, namespace="s", pod=pod)) for pod in ("noisy", "quiet")
    )
    for port in range(1, 9):
        log.add(replace(noisy, destination=replace(noisy.destination, port=port)))
    for port in (80, 81, 82):
        log.add(replace(quiet, destination=replace(quiet.destination, port=port)))
    log.add(replace(noisy, destination=replace(noisy.destination, port=99)))
    records, lost = log.take(10)
    assert [(item.source.pod, item.destination.port) for item in records] == [
        ("noisy", 3), ("noisy", 4), ("quiet", 80), ("quiet", 81),
    ]  # fmt: skip
    assert lost == 8


def test_under_pressure_denials_stay_and_losses_are_counted() -> None:
    log = FlowLog(limit=2)
    told = names()
    log.add(record(replace(EVENT, dport=1), told))
    log.add(record(replace(EVENT, dport=2), told))
    log.add(record(replace(EVENT, dport=3), told))
    log.add(record(replace(EVENT, dport=4, verdict=2, reason=DropReason.DROP_POLICY_DEFAULT), told))
    records, lost = log.take(10)
    assert [item.destination.port for item in records] == [2, 4]
    assert lost == 2
    assert log.take(10) == ([], 0)
