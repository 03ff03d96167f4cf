"""Verdicts in words."""

from __future__ import annotations

import pytest

from mesh.model import Action, HalfDecision, Layer, RuleRef, Verdict
from mesh.policy.reasons import allowed, denied, half_text, listed, rule_text

ALLOW = RuleRef(policy="shop/api", kind="MeshPolicy", rule="ingress[0]", name="read-only")
DENY = RuleRef(policy="shop/api", kind="MeshPolicy", rule="ingress[1]", action=Action.DENY)
ALLOWED, DENIED = Verdict.ALLOW, Verdict.DENY
POLICY = RuleRef(policy="shop/closed", kind="NetworkPolicy")


def half(verdict: Verdict, *refs: RuleRef, l7: bool = False, default: bool = False) -> HalfDecision:
    layer = Layer.L7 if l7 else Layer.L3L4
    return HalfDecision(verdict=verdict, layer=layer, needs_l7=l7, decided_by=refs, default=default)


def test_rules_and_lists() -> None:
    assert rule_text(ALLOW) == 'ingress[0] "read-only" of MeshPolicy shop/api'
    assert rule_text(POLICY) == "NetworkPolicy shop/closed"
    assert [listed("abcde"[:n]) for n in range(6)] == [
        "", "a", "a and b", "a, b and c", "a, b, c and 1 more", "a, b, c and 2 more",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (half(ALLOWED, ALLOW), 'its ingress is allowed by ingress[0] "read-only" of MeshPolicy shop/api'),
        (half(ALLOWED, default=True), "no policy restricts its ingress"),
        (half(ALLOWED), "its ingress is always allowed here"),
        (
            half(ALLOWED, POLICY, DENY, l7=True),
            (
                "its ingress is allowed by NetworkPolicy shop/closed"
                " except for the requests that ingress[1] of MeshPolicy shop/api denies"
            ),
        ),
        (
            half(ALLOWED, DENY, l7=True),
            "its ingress is open except for the requests that ingress[1] of MeshPolicy shop/api denies",
        ),
        (half(DENIED, DENY), "its ingress is denied by ingress[1] of MeshPolicy shop/api"),
        (
            half(DENIED, POLICY, default=True),
            "no rule allows its ingress, which is default deny because of NetworkPolicy shop/closed",
        ),
        (
            half(DENIED, POLICY, l7=True, default=True),
            (
                "its ingress is open for HTTP requests that NetworkPolicy shop/closed allows, "
                "and this request is none of them"
            ),
        ),
        (half(DENIED), "its ingress is denied: the peer is not known"),
    ],
)
def test_each_kind_of_half_has_its_words(one: HalfDecision, text: str) -> None:
    assert half_text("ingress", one) == text


def test_sentences() -> None:
    egress, ingress = half(ALLOWED, default=True), half(ALLOWED, ALLOW)
    assert denied("ingress", half(DENIED, POLICY, default=True)) == (
        "Denied at the destination: "
        "no rule allows its ingress, which is default deny because of NetworkPolicy shop/closed."
    )
    said = (
        "at the source no policy restricts its egress; "
        'at the destination its ingress is allowed by ingress[0] "read-only" of MeshPolicy shop/api.'
    )
    both = [("egress", egress), ("ingress", ingress)]
    assert allowed(both, each_request=False) == f"Allowed: {said}"
    assert allowed(both, each_request=True) == f"Allowed as a connection, each request is decided by itself: {said}"
    assert allowed([], each_request=False) == "Allowed: neither end is enforced."
