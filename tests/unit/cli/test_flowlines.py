"""Lines of observe."""

from __future__ import annotations

import pytest

from cli.flowlines import destination, flow_line, party, reason
from tests.unit.cli.samples import flow


def plain(line: str) -> str:
    """Without the time of day, which is local."""
    return line.split(" ", 1)[1]


def test_a_denied_request_on_one_line() -> None:
    assert plain(flow_line(flow(), colour=False)) == (
        "DENY  shop/client -> shop/payments:8080 TCP POST /charge 403  "
        "MeshPolicy shop/payments ingress[0] (default deny)"
    )


def test_an_allowed_connection_with_a_count() -> None:
    allowed = flow(verdict="allow", http=None, count=12, dropReason="", decidedBy=[])
    del allowed["http"]
    assert plain(flow_line(allowed | {"policies": []}, colour=False)) == (
        "ALLOW shop/client -> shop/payments:8080 TCP x12  ingress: no policy selects the pod"
    )


def test_an_allow_that_needs_no_rule_says_why() -> None:
    free = flow(verdict="allow", decidedBy=[], policies=[], dropReason="")
    assert reason(free | {"direction": "egress"}) == "egress: no policy selects the pod"
    assert reason(free | {"from": {"ip": "10.1.0.1", "identity": 1}}) == "a node and its own pods"
    assert reason(free | {"to": free["from"]}) == "a pod and itself"


def test_tries_over_both_families_are_told_apart() -> None:
    six = flow(http=None)
    six["to"]["ip"] = "fd00::3"
    assert " TCP6  " in flow_line(six, colour=False)
    assert " TCP  " in flow_line(flow(http=None), colour=False)
    del six["to"]["pod"]
    assert " TCP  " in flow_line(six, colour=False), "the address is there to see"


def test_a_deny_rule_is_no_default_deny() -> None:
    refs = [{"policy": "a/b", "kind": "MeshPolicy", "rule": "ingress[1]", "action": "Deny"}]
    assert reason(flow(decidedBy=refs)) == "MeshPolicy a/b ingress[1]"


def test_a_kind_that_repeats_is_said_once() -> None:
    refs = [
        {"policy": "a/b", "kind": "NetworkPolicy", "rule": "", "action": "Allow"},
        {"policy": "a/c", "kind": "NetworkPolicy", "rule": "", "action": "Allow"},
        {"policy": "a/d", "kind": "MeshPolicy", "rule": "", "action": "Allow"},
    ]
    assert reason(flow(decidedBy=refs)) == "NetworkPolicy a/b, a/c; MeshPolicy a/d (default deny)"
    assert reason(flow(decidedBy=[])) == "shop/payments (default deny)"


def test_a_live_connection_that_was_cut_says_so() -> None:
    assert reason(flow(dropReason="policy-changed")).endswith("(default deny, policy-changed)")


def test_without_a_policy_the_drop_reason_is_shown() -> None:
    assert reason(flow(decidedBy=[], policies=[], dropReason="spoofed-source")) == "spoofed-source"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"ip": "203.0.113.7", "identity": 2}, "203.0.113.7(world)"),
        ({"ip": "10.9.9.9", "identity": 16777216}, "10.9.9.9"),
        ({"namespace": "shop", "pod": "a", "ip": "10.0.0.1"}, "shop/a"),
    ],
)
def test_parties(found: dict[str, object], expected: str) -> None:
    assert party(found) == expected


def test_an_ipv6_address_is_told_from_its_port() -> None:
    assert destination({"to": {"ip": "fd00::9", "identity": 16777216, "port": 80}}) == "[fd00::9]:80"


def test_wide_adds_node_layer_addresses_and_service() -> None:
    assert flow_line(flow(), colour=False, wide=True).endswith(
        "[node-1 ingress L7 from=10.1.0.2#256 to=10.1.0.3#257 service=shop/payments]"
    )


def test_a_path_cannot_move_the_cursor() -> None:
    nasty = flow(http={"method": "GET", "path": "/\r\n\x07", "status": 403})
    assert flow_line(nasty, colour=False).isprintable()
    nasty = flow(http={"method": "GET", "path": "/\x1b[2J", "status": 403})
    assert "\x1b" not in flow_line(nasty, colour=False)
