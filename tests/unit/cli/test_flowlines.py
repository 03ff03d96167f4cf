"""Lines of observe."""

from __future__ import annotations

import re

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


def test_a_dry_run_is_told_from_the_name_behind_it() -> None:
    assert " DRYRUN shop/client " in flow_line(flow(verdict="dryrun"), colour=False)


def test_a_terminal_gets_the_reason_below_where_one_line_is_too_narrow() -> None:
    assert plain(flow_line(flow(), colour=False, width=80)).splitlines() == [
        "DENY  shop/client -> shop/payments:8080 TCP POST /charge 403",
        "                   MeshPolicy shop/payments ingress[0] (default deny)",
    ]
    assert flow_line(flow(), colour=False, width=130) == flow_line(flow(), colour=False)
    wide = flow_line(flow(), colour=False, wide=True)
    assert flow_line(flow(), colour=False, wide=True, width=80) == wide, "wide is one line everywhere"


LONG = flow(
    http={"method": "GET", "path": "/" + "x" * 300, "status": 200},
    decidedBy=[
        {"policy": f"shop/allow-checkout-{n}", "kind": "NetworkPolicy", "rule": f"ingress[{n}]", "action": "Allow"}
        for n in range(9)
    ],
)
LONG["from"]["pod"] = "recommendations-v2-7d9f8c6b5d-x2x4z"
LONG["to"]["pod"] = "payments-with-a-long-name-7d9f8c6b5d-abcde"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("found", [flow(), LONG], ids=["short", "long"])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(found: dict[str, object], width: int) -> None:
    lines = flow_line(found, colour=False, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(flow_line(found, colour=False).split())
    assert all(line.startswith("  ") for line in lines[1:]), "what goes on is indented"
    coloured = flow_line(found, colour=True, width=width)
    assert re.sub(r"\x1b\[\d+m", "", coloured).splitlines() == lines, "colours move nothing"


def test_words_are_broken_only_where_a_line_has_no_room_for_one() -> None:
    lines = plain(flow_line(LONG, colour=False, width=80)).splitlines()
    assert lines[:2] == [
        "DENY  shop/recommendations-v2-7d9f8c6b5d-x2x4z ->",
        "                   shop/payments-with-a-long-name-7d9f8c6b5d-abcde:8080 TCP GET",
    ]
    assert lines[-1].strip() == "ingress[8] (default deny)"


def test_wide_adds_node_layer_addresses_and_service() -> None:
    assert flow_line(flow(), colour=False, wide=True).endswith(
        "[node-1 ingress L7 from=10.1.0.2#256 to=10.1.0.3#257 service=shop/payments]"
    )


def test_a_path_cannot_move_the_cursor() -> None:
    nasty = flow(http={"method": "GET", "path": "/\r\n\x07", "status": 403})
    assert flow_line(nasty, colour=False).isprintable()
    nasty = flow(http={"method": "GET", "path": "/\x1b[2J", "status": 403})
    assert "\x1b" not in flow_line(nasty, colour=False)
