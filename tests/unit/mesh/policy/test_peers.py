"""Selectors, blocks, accounts and entities resolved to identities; the index agrees with asking each identity."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from mesh.model import Identity, IdentityId, IdentityKind, Protocol
from mesh.objects.policyrules import IpBlock, Peer
from mesh.objects.selectors import EVERYTHING, LabelSelector, Operator, Requirement
from mesh.policy.peers import PeerIndex

WIDE, NARROW = ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16")
NAMESPACES = {"shop": {"team": "a"}, "bank": {"team": "b"}}


def identity(
    number: int, *, namespace: str = "shop", account: str = "default", port: int = 80, **labels: str
) -> Identity:
    return Identity(
        id=IdentityId(number),
        kind=IdentityKind.POD,
        namespace=namespace,
        service_account=account,
        labels=tuple(sorted(labels.items())),
        entities=frozenset({"cluster"}),
        named_ports=(("http", Protocol.TCP, port),),
    )


PODS = [
    identity(256, app="web"),
    identity(257, app="db", account="db"),
    identity(258, namespace="bank", app="web", port=81),
    identity(259, namespace="bank"),
]
OUTSIDE = [
    Identity(id=IdentityId(number), kind=IdentityKind.ADDRESS, entities=frozenset({"world"}), blocks=frozenset(blocks))
    for number, blocks in ((1 << 24, {WIDE}), ((1 << 24) + 1, {WIDE, NARROW}))
]
INDEX = PeerIndex([*PODS, *OUTSIDE], NAMESPACES)
WEB = LabelSelector((Requirement("app", Operator.IN, frozenset({"web"})),))
TEAM_B = LabelSelector((Requirement("team", Operator.IN, frozenset({"b"})),))


def meant(*peers: Peer, namespace: str = "shop") -> set[int]:
    found = INDEX.resolve(peers, namespace)
    assert found is not None
    return {int(number) for number in found}


def test_no_peers_given_means_everyone() -> None:
    assert INDEX.resolve(None, "shop") is None
    assert meant() == set()


def test_a_pod_selector_stays_in_the_policys_namespace() -> None:
    assert meant(Peer(pod_selector=WEB)) == {256}
    assert meant(Peer(pod_selector=EVERYTHING), namespace="bank") == {258, 259}


def test_a_namespace_selector_means_all_pods_there() -> None:
    assert meant(Peer(namespace_selector=TEAM_B)) == {258, 259}
    assert meant(Peer(namespace_selector=EVERYTHING)) == {256, 257, 258, 259}


def test_both_selectors_must_hold() -> None:
    assert meant(Peer(namespace_selector=TEAM_B, pod_selector=WEB)) == {258}


def test_entries_are_alternatives() -> None:
    assert meant(Peer(pod_selector=WEB), Peer(namespace_selector=TEAM_B)) == {256, 258, 259}


def test_a_block_takes_in_longer_prefixes_that_it_does_not_except() -> None:
    assert meant(Peer(block=IpBlock(cidr=WIDE))) == {1 << 24, (1 << 24) + 1}
    assert meant(Peer(block=IpBlock(cidr=WIDE, excepts=(NARROW,)))) == {1 << 24}
    assert meant(Peer(block=IpBlock(cidr=ip_network("11.0.0.0/8")))) == set()


def test_accounts_and_entities() -> None:
    assert meant(Peer(accounts=("shop/db", "bank/nobody"))) == {257}
    assert meant(Peer(entities=("world",))) == {1 << 24, (1 << 24) + 1}
    assert meant(Peer(accounts=("shop/db",), pod_selector=WEB)) == set()


def test_named_ports_by_number() -> None:
    assert INDEX.with_port("http", Protocol.TCP) == {80: {256, 257, 259}, 81: {258}}
    assert INDEX.with_port("http", Protocol.UDP) == {}


requirements = st.builds(
    Requirement,
    st.sampled_from(("app", "team", "tier")),
    st.sampled_from(Operator),
    st.frozensets(st.sampled_from(("web", "db", "x")), min_size=1, max_size=2),
)


@given(st.lists(requirements, max_size=3), st.booleans())
def test_the_index_agrees_with_asking_each_identity(wanted: list[Requirement], everywhere: bool) -> None:
    selector = LabelSelector(tuple(wanted))
    peer = Peer(pod_selector=selector, namespace_selector=EVERYTHING if everywhere else None)
    assert meant(peer) == {
        int(one.id) for one in PODS if (everywhere or one.namespace == "shop") and selector.matches(dict(one.labels))
    }
