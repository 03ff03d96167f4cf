"""The answer of policy check in words."""

from __future__ import annotations

import pytest

from cli.verdicts import check, grants, half, identity, party, rule, word
from tests.unit.cli import samples


def test_a_rule_is_named_so_that_it_can_be_found() -> None:
    assert rule({"kind": "MeshPolicy", "policy": "shop/a", "rule": "ingress[0]", "name": "read"}) == (
        'MeshPolicy shop/a ingress[0] "read"'
    )
    assert rule({"kind": "NetworkPolicy", "policy": "shop/a", "rule": ""}) == "NetworkPolicy shop/a"


def test_a_denied_request_in_whole() -> None:
    assert check(samples.check(), question="shop/client -> shop/payments:8080 TCP POST /charge", colour=False) == (
        "DENY  shop/client -> shop/payments:8080 TCP POST /charge\n"
        "  egress   allow (L3L4), by default: no policy selects the pod\n"
        "  ingress  deny (L7), default deny of\n"
        '             MeshPolicy shop/payments ingress[0] "read-only"\n'
        "denied by default: no rule of shop/payments allows the request"
    )


def test_the_sentence_fits_the_terminal() -> None:
    answer = samples.check(message="Denied at the source: " + "no rule of shop/allow-dns allows it, " * 6)
    lines = check(answer, question="a -> b", colour=False, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[-4:]) == answer["message"].strip()


def test_a_verdict_that_waits_for_the_request_says_so() -> None:
    waiting = {"verdict": "allow", "layer": "L3L4", "needsL7": True, "decidedBy": []}
    shown = check({**waiting, "egress": None, "ingress": waiting}, question="a -> b", colour=False)
    assert shown.splitlines() == [
        "ALLOW  a -> b  (some requests only)",
        "  egress   not enforced on this side",
        "  ingress  depends on the request (give --method and --path)",
    ]


def test_an_allow_names_its_rules() -> None:
    refs = [{"kind": "NetworkPolicy", "policy": "a/b", "rule": "ingress[1]"}]
    assert half({"verdict": "allow", "layer": "L3L4", "decidedBy": refs, "default": False}) == [
        "allow (L3L4) by",
        "NetworkPolicy a/b ingress[1]",
    ]


def test_colours_only_where_asked() -> None:
    assert word("deny", colour=True) == "\x1b[31mDENY\x1b[0m"
    assert word("allow", colour=False) == "ALLOW"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"id": 256, "kind": "pod", "namespace": "shop", "serviceAccount": "web"}, "256 (shop/web)"),
        ({"id": 16777216, "kind": "address", "prefix": "10.0.0.0/8"}, "16777216 (10.0.0.0/8)"),
        ({"id": 2, "kind": "reserved", "entities": ["world"]}, "2 (world)"),
        ({"id": 256, "kind": "pod", "pods": ["a/b", "a/c"], "podCount": 2}, "a/b, a/c"),
        ({"id": 256, "pods": ["a/1", "a/2", "a/3", "a/4", "a/5"], "podCount": 9}, "a/1, a/2, a/3, a/4 and 5 more"),
    ],
)
def test_identities(found: dict[str, object], expected: str) -> None:
    assert identity(found) == expected


def test_grants() -> None:
    assert grants(
        {
            "grants": [
                {"peers": None, "ports": [{"protocol": "TCP", "port": 80, "endPort": 90}]},
                {"peers": [256, 257], "ports": [{"protocol": "ANY"}]},
                {"peers": [], "ports": [{"protocol": "UDP"}]},
            ]
        }
    ) == ["anyone on TCP/80-90", "256, 257 on every port", "nobody on UDP, every port"]


def test_parties() -> None:
    assert party("10.0.0.1") == "10.0.0.1"
    assert party({"namespace": "shop", "pod": "a"}) == "shop/a"
    assert party({"ip": "10.0.0.1"}) == "10.0.0.1"
    assert party({}) == "?"
