"""What the proxy is told."""

from __future__ import annotations

from dataclasses import replace

from agent.datapath.tables import IpcacheEntry, IpcacheKey
from agent.desired import Numbers, desired
from agent.moves import moves
from agent.proxyview import MOVED, Former, former_after, moved_after, same_content, view
from mesh.model import IdentityId, Revision
from mesh.policy.prefixes import host_prefix
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


def cache(*pairs: tuple[str, int]) -> dict[IpcacheKey, IpcacheEntry]:
    return {IpcacheKey(host_prefix(nodes.address(ip))): IpcacheEntry(number) for ip, number in pairs}


def test_an_address_whose_identity_changed_is_told_with_the_one_it_has_now() -> None:
    """By address: an identity may split between a pod's IPv4 and IPv6, and live on with other pods."""
    old = cache(("10.9.1.1", 256), ("fd09::1", 256), ("10.9.1.2", 256))
    new = cache(("10.9.1.1", 257), ("fd09::1", 258), ("10.9.1.2", 256))
    former = moved_after(Former(), moves(old, new).hosts, new)
    assert former.moved == {nodes.address("10.9.1.1"): 257, nodes.address("fd09::1"): 258}
    numbers = Numbers()
    assert view(STATE, desired(STATE, numbers), numbers, former).moved == former.moved


def test_an_address_that_moved_is_never_told_with_an_identity_that_it_lost() -> None:
    ip = nodes.address("10.9.1.1")
    former = moved_after(Former(), frozenset({ip}), cache(("10.9.1.1", 257)))
    nobody = moved_after(former, frozenset(), cache())
    assert nobody.moved == {ip: 0}
    assert moved_after(nobody, frozenset(), cache(("10.9.1.1", 300))).moved == {ip: 300}, "nor as the one before"
    assert moved_after(former, frozenset(), cache(("10.9.1.1", 300))).moved == {ip: 300}


def test_moved_addresses_are_bounded_and_the_newest_stay() -> None:
    many = [nodes.address(f"10.8.{n >> 8}.{n & 255}") for n in range(MOVED + 10)]
    table = cache(*((str(ip), 300) for ip in many))
    former = moved_after(moved_after(Former(), frozenset(many[:-10]), table), frozenset(many[-10:]), table)
    assert len(former.moved) == MOVED
    assert set(many[-10:]) <= former.moved.keys()


def test_a_new_revision_alone_is_no_news() -> None:
    numbers = Numbers()
    one = view(STATE, desired(STATE, numbers), numbers, Former())
    assert same_content(one, replace(one, revision=Revision(9)))
    assert not same_content(one, replace(one, trust_domain="other"))
    assert not same_content(None, one)
