"""Random NetworkPolicies against a plain reading of Kubernetes' rules, pod by pod and address by address.

The oracle knows no identities, no policy sets and no resolved rules: it asks each policy about each flow. What it and
`decide` have in common is the parser alone.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.model import Address, Direction, FlowQuery, Protocol, Verdict
from mesh.objects.core import Namespace, Pod
from mesh.objects.networkpolicy import NetworkPolicy
from mesh.objects.policyrules import Peer, PolicyPort, PolicyRule
from mesh.policy.cluster import build
from mesh.policy.decide import decide
from mesh.policy.identities import FreshNumbers
from tests.support.manifests import Document, namespace, network_policy, objects, pod

LABELS = ({"app": "web"}, {"app": "db"}, {"app": "web", "tier": "a"}, {"pod-template-hash": "h"})
WORLD = tuple(ip_address(text) for text in ("20.0.0.1", "20.1.0.1", "21.0.0.1", "2001:db8::1"))
CIDRS = ("0.0.0.0/0", "::/0", "10.0.0.0/8", "10.0.0.0/30", "20.0.0.0/8", "2001:db8::/32", "10.0.0.2/32")
EXCEPTS = {"0.0.0.0/0": ["10.0.0.0/8", "20.1.0.0/16"], "10.0.0.0/8": ["10.0.0.0/30"], "20.0.0.0/8": ["20.1.0.0/16"]}

selectors = st.sampled_from(
    (
        {},
        {"matchLabels": {"app": "web"}},
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
        {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
        {"matchExpressions": [{"key": "pod-template-hash", "operator": "Exists"}]},
    )
)
spaces = st.sampled_from(({}, {"matchLabels": {"team": "a"}}, {"matchLabels": {"kubernetes.io/metadata.name": "bank"}}))
blocks = st.sampled_from(CIDRS).flatmap(
    lambda cidr: st.sampled_from(({"cidr": cidr}, {"cidr": cidr, "except": EXCEPTS.get(cidr, [])}))
)
peers = st.one_of(
    selectors.map(lambda pods: {"podSelector": pods}),
    spaces.map(lambda names: {"namespaceSelector": names}),
    st.builds(lambda pods, names: {"podSelector": pods, "namespaceSelector": names}, selectors, spaces),
    blocks.map(lambda block: {"ipBlock": block}),
)
ports = st.sampled_from(
    (
        {"port": 80},
        {"port": "http"},
        {"port": "dns", "protocol": "UDP"},
        {"port": 79, "endPort": 81},
        {"protocol": "UDP"},
        {},
    )
)


def rules(side: str) -> st.SearchStrategy[list[Document]]:
    named = st.fixed_dictionaries({side: st.lists(peers, min_size=1, max_size=3)})
    open_: st.SearchStrategy[Document] = st.sampled_from(({}, {side: []}))
    ported: st.SearchStrategy[Document] = st.one_of(
        st.just({}), st.fixed_dictionaries({"ports": st.lists(ports, min_size=1, max_size=2)})
    )
    rule = st.builds(lambda who, where: {**who, **where}, st.one_of(named, named, named, open_), ported)
    return st.lists(rule, min_size=1, max_size=2)


both = st.fixed_dictionaries({"podSelector": selectors, "ingress": rules("from"), "egress": rules("to")})
one = st.one_of(
    st.fixed_dictionaries({"podSelector": selectors, "ingress": rules("from")}),
    st.fixed_dictionaries({"podSelector": selectors, "egress": rules("to"), "policyTypes": st.just(["Egress"])}),
)
none = st.fixed_dictionaries({"podSelector": selectors}, optional={"policyTypes": st.sampled_from((["Egress"], []))})
specs = st.one_of(both, both, one, one, one, none)


@st.composite
def clusters(draw: st.DrawFn) -> list[Document]:
    given: list[Document] = [namespace("shop", team="a"), namespace("bank", team="b")]
    for number in range(1, 6):
        named = {"containerPort": draw(st.sampled_from((80, 81))), "name": "http"}
        dns = {"containerPort": 80, "name": "dns", "protocol": draw(st.sampled_from(("UDP", "TCP")))}
        key = f"{draw(st.sampled_from(('shop', 'bank')))}/p{number}"
        labels = draw(st.sampled_from(LABELS))
        given.append(pod(key, f"10.0.0.{number}", f"fd00::{number}", labels=labels, ports=[named, dns]))
    given += [
        network_policy(f"{draw(st.sampled_from(('shop', 'bank')))}/n{number}", **draw(specs))
        for number in range(draw(st.integers(2, 5)))
    ]
    return given


class Oracle:
    """Kubernetes' NetworkPolicy as its documentation tells it."""

    def __init__(self, given: tuple[Any, ...]) -> None:
        self.pods = {address: one for one in given if isinstance(one, Pod) for address in one.ips}
        self.spaces = {one.metadata.name: dict(one.metadata.labels) for one in given if isinstance(one, Namespace)}
        self.policies = [one for one in given if isinstance(one, NetworkPolicy)]

    def allowed(self, source: Address, destination: Address, protocol: Protocol, port: int) -> bool:
        return self._side(Direction.EGRESS, source, destination, destination, protocol, port) and self._side(
            Direction.INGRESS, destination, source, destination, protocol, port
        )

    def _side(
        self, direction: Direction, own: Address, peer: Address, server: Address, protocol: Protocol, port: int
    ) -> bool:
        subject = self.pods.get(own)
        if subject is None:
            return True
        selecting = [
            policy
            for policy in self.policies
            if policy.metadata.namespace == subject.metadata.namespace
            and direction in policy.policy_types
            and policy.pod_selector.matches(dict(subject.metadata.labels))
        ]
        return not selecting or any(
            self._peer_ok(rule, policy, peer) and self._port_ok(rule, server, protocol, port)
            for policy in selecting
            for rule in (policy.ingress if direction is Direction.INGRESS else policy.egress)
        )

    def _peer_ok(self, rule: PolicyRule, policy: NetworkPolicy, peer: Address) -> bool:
        return rule.peers is None or any(self._is(one, policy, peer) for one in rule.peers)

    def _is(self, wanted: Peer, policy: NetworkPolicy, peer: Address) -> bool:
        if wanted.block is not None:
            return peer in wanted.block.cidr and not any(peer in block for block in wanted.block.excepts)
        found = self.pods.get(peer)
        if found is None:
            return False
        if wanted.namespace_selector is None:
            if found.metadata.namespace != policy.metadata.namespace:
                return False
        elif not wanted.namespace_selector.matches(self.spaces[found.metadata.namespace]):
            return False
        return wanted.pod_selector is None or wanted.pod_selector.matches(dict(found.metadata.labels))

    def _port_ok(self, rule: PolicyRule, server: Address, protocol: Protocol, port: int) -> bool:
        return not rule.ports or any(self._covers(one, server, protocol, port) for one in rule.ports)

    def _covers(self, wanted: PolicyPort, server: Address, protocol: Protocol, port: int) -> bool:
        if wanted.protocol is not protocol:
            return False
        if wanted.port is None:
            return True
        if isinstance(wanted.port, int):
            return wanted.port <= port <= (wanted.end_port or wanted.port)
        owner = self.pods.get(server)
        return owner is not None and any(
            (one.name, one.protocol, one.number) == (wanted.port, protocol, port) for one in owner.spec.ports
        )


@settings(max_examples=200, deadline=None)
@given(clusters())
def test_decide_agrees_with_a_plain_reading_of_kubernetes(documents: list[Document]) -> None:
    given = objects(*documents)
    state, oracle = build(given, FreshNumbers()), Oracle(given)
    owner = {address: one for one in state.pods.values() for address, _ in one.addresses}
    for source in (*owner, *WORLD):
        for destination in (*owner, *WORLD):
            if source.version != destination.version or owner.get(source) is owner.get(destination):
                continue
            for protocol, port in ((Protocol.TCP, 80), (Protocol.TCP, 81), (Protocol.UDP, 80), (Protocol.TCP, 8000)):
                decision = decide(
                    FlowQuery(
                        source=state.identity_at(source),
                        destination=state.identity_at(destination),
                        protocol=protocol,
                        port=port,
                    ),
                    egress=owner[source].policy.egress if source in owner else None,
                    ingress=owner[destination].policy.ingress if destination in owner else None,
                )
                wanted = oracle.allowed(source, destination, protocol, port)
                assert (decision.verdict is Verdict.ALLOW) == wanted, (source, destination, protocol, port)
