"""What the proxy is told."""

from __future__ import annotations

from dataclasses import replace

from agent.desired import Numbers, desired
from agent.proxyview import Former, former_after, same_content, view
from mesh.model import IdentityId, Revision
from tests.support import nodes

STATE = nodes.node(
    nodes.snapshot(
        pods=[nodes.pod("a", "10.9.0.1", 300, "a"), nodes.pod("b", "10.9.0.2", 301, "a")],
        peers={"10.9.1.1/32": 257},
        policies=[nodes.policy("a", nodes.allow(257, http=True))],
        frontends=[nodes.service("10.96.0.1", "10.9.0.1")],
    ),
    nodes.local("a", 1, 11),
)
X, Y = IdentityId(256), IdentityId(257)


def test_attached_pods_their_policy_and_the_services() -> None:
    numbers = Numbers()
    found = view(STATE, desired(STATE, numbers), numbers, Former())
    assert {number: pod.key for number, pod in found.endpoints.items()} == {1: "shop/a"}
    assert list(found.policies) == ["a"]
    assert list(found.services.values()) == ["shop/web"]


def test_a_former_identity_is_allowed_what_its_successor_is() -> None:
    numbers = Numbers()
    former = Former(successor={X: Y}, identities={X: nodes.identity(256)})
    found = view(STATE, desired(STATE, numbers), numbers, former)
    (rule,) = found.policies["a"].ingress.rules  # type: ignore[index]
    assert rule.grants[0].peers == {X, Y}
    assert X in found.identities


def test_former_identities_follow_chains_and_end_when_nobody_is_left() -> None:
    former = former_after(Former(), frozenset({(256, 257)}), STATE, frozenset({257}))
    assert former.successor == {X: Y}
    former = former_after(former, frozenset({(257, 258)}), STATE, frozenset({258}))
    assert former.successor == {X: 258, Y: 258}
    assert former_after(former, frozenset(), STATE, frozenset()).successor == {}


def test_an_identity_that_others_still_have_has_no_successor() -> None:
    assert former_after(Former(), frozenset({(256, 257)}), STATE, frozenset({256, 257})).successor == {}
    split = frozenset({(256, 257), (256, 258)})
    assert former_after(Former(), split, STATE, frozenset({257, 258})).successor == {}


def test_a_new_revision_alone_is_no_news() -> None:
    numbers = Numbers()
    one = view(STATE, desired(STATE, numbers), numbers, Former())
    assert same_content(one, replace(one, revision=Revision(9)))
    assert not same_content(one, replace(one, trust_domain="other"))
    assert not same_content(None, one)
