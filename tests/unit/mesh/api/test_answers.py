"""The keys that scripts rely on."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest
from hypothesis import given, settings

from mesh.api.answers import (
    decision_to_json,
    flow_to_json,
    http_match_to_json,
    identity_to_json,
    ports_to_json,
    protocol_of,
    time_to_json,
)
from mesh.model import (
    EVERY_PORT,
    Decision,
    FlowRecord,
    HalfDecision,
    HeaderMatch,
    HttpMatch,
    Identity,
    IdentityId,
    IdentityKind,
    Layer,
    Match,
    PathMatch,
    PortRange,
    Protocol,
    RuleRef,
    Verdict,
)
from tests.unit.mesh.api.models import flows


def test_times_are_rfc_3339_with_every_nanosecond() -> None:
    assert time_to_json(1_767_322_445_000_000_006) == "2026-01-02T02:54:05.000000006Z"


@settings(max_examples=50, deadline=None)
@given(flows)
def test_a_flow_has_the_promised_keys_and_is_json(flow: FlowRecord) -> None:
    answer = json.loads(json.dumps(flow_to_json(flow)))
    promised = {
        "id",
        "time",
        "node",
        "direction",
        "verdict",
        "layer",
        "protocol",
        "from",
        "to",
        "service",
        "dropReason",
        "policies",
        "rule",
        "count",
    }
    assert promised <= answer.keys()
    assert set(answer["from"]) == {"namespace", "pod", "serviceAccount", "identity", "ip", "port"}
    assert ("http" in answer) is (flow.http is not None)
    assert answer["policies"] == list(dict.fromkeys(ref.policy for ref in flow.rules))


def test_a_decision_names_its_rules_and_both_halves() -> None:
    ref = RuleRef(policy="shop/p", kind="MeshPolicy", rule="ingress[0]", name="read-only")
    half = HalfDecision(verdict=Verdict.ALLOW, layer=Layer.L7, needs_l7=True, decided_by=(ref,))
    decision = Decision(
        verdict=Verdict.ALLOW, layer=Layer.L7, needs_l7=True, decided_by=(ref,), egress=None, ingress=half, message="m"
    )
    answer = decision_to_json(decision, source={"pod": "a"}, destination={"pod": "b"})
    assert answer["decidedBy"] == [
        {"policy": "shop/p", "kind": "MeshPolicy", "rule": "ingress[0]", "action": "Allow", "name": "read-only"}
    ]
    assert answer["egress"] is None
    assert answer["ingress"]["needsL7"] is True
    assert (answer["verdict"], answer["layer"], answer["message"]) == ("allow", "L7", "m")


def test_rules_are_shown_as_their_author_wrote_them() -> None:
    match = HttpMatch(
        methods=("GET",),
        paths=(PathMatch(Match.PREFIX, "/api"),),
        headers=(HeaderMatch("x-a", Match.ABSENT), HeaderMatch("x-b", Match.EXACT, "")),
    )
    assert http_match_to_json(match) == {
        "methods": ["GET"],
        "paths": [{"prefix": "/api"}],
        "headers": [{"name": "x-a", "absent": True}, {"name": "x-b", "exact": ""}],
    }
    assert ports_to_json(PortRange(Protocol.TCP, 80, 90)) == {"protocol": "TCP", "port": 80, "endPort": 90}
    assert ports_to_json(EVERY_PORT) == {"protocol": "ANY"}


def test_an_identity_says_what_it_stands_for() -> None:
    identity = Identity(
        id=IdentityId(1 << 24),
        kind=IdentityKind.ADDRESS,
        blocks=frozenset({ip_network("10.0.0.0/8")}),
        prefix=ip_network("10.0.0.0/8"),
    )
    answer = identity_to_json(identity)
    assert (answer["id"], answer["prefix"], answer["blocks"]) == (1 << 24, "10.0.0.0/8", ["10.0.0.0/8"])


def test_protocols_by_their_names() -> None:
    assert protocol_of("") is Protocol.TCP
    assert protocol_of("udp") is Protocol.UDP
    with pytest.raises(ValueError, match="'carrier-pigeon' is not a protocol"):
        protocol_of("carrier-pigeon")
