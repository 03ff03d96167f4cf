"""Who stands behind which address."""

from __future__ import annotations

from ipaddress import ip_address

from mesh.model import IdentityKind, ReservedIdentity
from mesh.policy.cluster import ClusterPolicy
from mesh.policy.identities import FreshNumbers
from tests.support.manifests import Document, cluster, mesh_policy, namespace, network_policy, node, pod


def blocks(*cidrs: str, excepts: tuple[str, ...] = ()) -> Document:
    peers = [{"ipBlock": {"cidr": cidr, **({"except": list(excepts)} if excepts else {})}} for cidr in cidrs]
    return network_policy("shop/blocks", ingress=[{"from": peers}])


def at(state: ClusterPolicy, address: str) -> int:
    return state.identity_at(ip_address(address))


def test_without_policies_there_are_pods_nodes_unknown_and_world() -> None:
    state = cluster(namespace(), node(), pod("shop/a", "10.244.0.5"))
    assert at(state, "8.8.8.8") == at(state, "2001:db8::1") == ReservedIdentity.WORLD
    assert at(state, "172.18.0.2") == ReservedIdentity.REMOTE_NODE
    assert at(state, "10.244.0.99") == ReservedIdentity.UNKNOWN
    assert at(state, "10.244.0.5") == state.pods["shop/a"].addresses[0][1] >= 256


def test_pods_with_equal_labels_share_an_identity_and_others_do_not() -> None:
    labels = {"app": "web"}
    state = cluster(
        namespace(), namespace("bank"),
        pod("shop/a", "10.0.0.1", labels=labels), pod("shop/b", "10.0.0.2", labels=labels),
        pod("shop/c", "10.0.0.3", labels={"app": "db"}), pod("bank/a", "10.0.0.4", labels=labels),
        pod("shop/d", "10.0.0.5", labels=labels, serviceAccountName="other"),
        pod("shop/e", "10.0.0.6", labels=labels, ports=[{"containerPort": 80, "name": "http"}]),
    )  # fmt: skip
    numbers = [at(state, f"10.0.0.{last}") for last in range(1, 7)]
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 5


def test_volatile_labels_count_only_once_a_policy_selects_by_them() -> None:
    def numbers(*policies: Document) -> set[int]:
        pods = [pod(f"shop/{n}", f"10.0.0.{n}", labels={"app": "x", "pod-template-hash": f"h{n}"}) for n in (1, 2)]
        state = cluster(namespace(), *pods, *policies)
        return {at(state, "10.0.0.1"), at(state, "10.0.0.2")}

    assert len(numbers()) == 1
    assert len(numbers(network_policy(podSelector={"matchLabels": {"pod-template-hash": "h1"}}))) == 2


def test_a_pods_two_addresses_differ_where_a_block_tells_them_apart() -> None:
    two = pod("shop/a", "10.0.0.1", "fd00::1")
    (_, four), (_, six) = cluster(namespace(), two).pods["shop/a"].addresses
    assert four == six
    (_, four), (_, six) = cluster(namespace(), two, blocks("10.0.0.0/8")).pods["shop/a"].addresses
    assert four != six


def test_prefixes_outside_have_an_identity_each_with_the_blocks_around_them() -> None:
    state = cluster(namespace(), blocks("20.0.0.0/8", excepts=("20.1.0.0/16",)))
    wide, narrow = (state.identities[state.identity_at(ip_address(text))] for text in ("20.2.0.1", "20.1.0.1"))
    assert {wide.kind, narrow.kind} == {IdentityKind.ADDRESS}
    assert {str(block) for block in wide.blocks} == {"20.0.0.0/8"}
    assert {str(block) for block in narrow.blocks} == {"20.0.0.0/8", "20.1.0.0/16"}
    assert at(state, "21.0.0.1") == ReservedIdentity.WORLD


def test_everywhere_as_a_block_keeps_the_families_apart() -> None:
    state = cluster(namespace(), blocks("0.0.0.0/0"))
    assert state.identities[state.identity_at(ip_address("8.8.8.8"))].kind is IdentityKind.ADDRESS
    assert at(state, "2001:db8::1") == ReservedIdentity.WORLD


def test_an_unannounced_address_of_the_cluster_stays_unknown_whatever_a_block_says() -> None:
    for cidr in ("10.0.0.0/8", "10.244.0.0/24", "10.244.0.0/25", "0.0.0.0/0"):
        assert at(cluster(namespace(), node(), blocks(cidr)), "10.244.0.99") == ReservedIdentity.UNKNOWN


def test_nodes_that_a_block_contains_have_an_identity_of_their_own() -> None:
    state = cluster(namespace(), node(), blocks("172.18.0.0/16"))
    found = state.identities[state.identity_at(ip_address("172.18.0.2"))]
    assert (found.kind, found.entities) == (IdentityKind.NODE, frozenset({"remote-node", "cluster"}))
    assert state.node_addresses == {"one": (ip_address("172.18.0.2"),)}


def test_pods_on_the_nodes_network_have_no_identity() -> None:
    state = cluster(namespace(), node(), pod("shop/a", "172.18.0.2", hostNetwork=True))
    assert state.pods["shop/a"].addresses == ()
    assert not state.pods["shop/a"].enforced
    assert at(state, "172.18.0.2") == ReservedIdentity.REMOTE_NODE


def test_an_address_that_two_pods_claim_is_nobodys() -> None:
    state = cluster(namespace(), pod("shop/a", "10.0.0.1"), pod("shop/b", "10.0.0.1"))
    assert at(state, "10.0.0.1") == ReservedIdentity.UNKNOWN
    assert state.warnings == ("10.0.0.1 is claimed by pods shop/a and shop/b; it is denied",)


def test_entities() -> None:
    api = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": ["172.18.0.9"]}],
    }  # fmt: skip
    names = ("host", "world", "cluster", "remote-node", "kube-apiserver")
    rules = [{"from": [{"entities": [name]}]} for name in names]
    state = cluster(
        namespace(), node(), api, pod("shop/a", "10.0.0.1"), blocks("20.0.0.0/8"), mesh_policy(ingress=rules)
    )
    (kept,) = [one for one in (state.pods["shop/a"].policy,) if one.ingress.rules]
    meant = {
        rule.ref.rule: set(rule.grants[0].peers or ()) for rule in kept.ingress.rules if rule.ref.kind == "MeshPolicy"
    }
    pod_id, outside = state.pods["shop/a"].addresses[0][1], at(state, "20.0.0.1")
    assert meant == {
        "ingress[0]": {1},
        "ingress[1]": {2, outside},
        "ingress[2]": {1, 3, pod_id},
        "ingress[3]": {3},
        "ingress[4]": {5},
    }
    assert at(state, "172.18.0.9") == ReservedIdentity.KUBE_APISERVER


def test_the_same_objects_and_numbers_give_the_same_cluster() -> None:
    given = (namespace(), node(), pod("shop/a", "10.0.0.1"), blocks("10.0.0.0/8"))
    numbers = FreshNumbers()
    assert cluster(*given, numbers=numbers) == cluster(*reversed(given), numbers=numbers)
