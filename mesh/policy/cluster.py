"""The whole cluster's policy from its objects: identities, who stands behind which address, and each pod's policy set.

`build` is pure: the same objects and the same allocator give the same answer. Work is shared: one shape per distinct
set of labels, one resolution per policy, one policy set per distinct policy. The parts that differ per node (which
addresses are the node's own) are added by whoever makes a node's snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh.model import Address, Identity, IdentityId, PolicyKey, PolicySet, Prefix, ReservedIdentity
from mesh.objects.kinds import Object
from mesh.policy.intent import Intent
from mesh.policy.peers import PeerIndex
from mesh.policy.population import Allocate, Population, named_ports
from mesh.policy.prefixes import PrefixTable
from mesh.policy.rules import RuleResolver


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPolicy:
    """One pod: its addresses with their identities, and its policy."""

    namespace: str
    name: str
    uid: str
    node: str
    service_account: str
    addresses: tuple[tuple[Address, IdentityId], ...]
    enforced: bool
    """False: un-enrolled, or on the node's network; its own traffic is left alone."""
    policy: PolicySet

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPolicy:
    identities: Mapping[IdentityId, Identity]
    """Every identity in use, the reserved ones included."""
    pods: Mapping[str, PodPolicy]
    """By `namespace/name`."""
    prefixes: Mapping[Prefix, IdentityId]
    """Who stands behind an address, before a node replaces its own addresses by HOST."""
    policies: Mapping[PolicyKey, PolicySet]
    """The policy sets that some enforced pod has."""
    node_addresses: Mapping[str, tuple[Address, ...]]
    warnings: tuple[str, ...] = ()
    _table: list[PrefixTable[IdentityId]] = field(default_factory=list, compare=False, repr=False)

    def identity_at(self, address: Address) -> IdentityId:
        """The identity behind an address, as a kernel would find it."""
        if not self._table:
            self._table.append(PrefixTable(self.prefixes))
        found = self._table[0].longest(address)
        return IdentityId(ReservedIdentity.WORLD) if found is None else found


def build(objects: Iterable[Object], allocate: Allocate, *, enrol_all: bool = True) -> ClusterPolicy:
    """Everything that policy says about a cluster.

    `allocate` gives a shape its number. With `enrol_all` (the lab) every pod is enforced that is not labelled
    `weft.dev/mesh: disabled`; without it only those that are labelled, or whose namespace is, `enabled`.
    """
    intent = Intent(objects)
    people = Population(intent, allocate)
    resolver = RuleResolver(PeerIndex(people.identities.values(), intent.namespaces))
    pods: dict[str, PodPolicy] = {}
    for pod in intent.pods:
        labels = dict(pod.metadata.labels)
        enforced = not pod.spec.host_network and intent.enrolled(pod, labels, enrol_all=enrol_all)
        chosen = intent.selecting(pod.metadata.namespace, labels) if enforced else ()
        pods[pod.key] = PodPolicy(
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            uid=pod.metadata.uid,
            node=pod.spec.node_name,
            service_account=pod.spec.service_account,
            addresses=people.addresses.get(pod.key, ()),
            enforced=enforced,
            policy=resolver.policy_set(chosen, named_ports(pod)),
        )
    return ClusterPolicy(
        identities=people.identities,
        pods=pods,
        prefixes=people.prefixes,
        policies={pod.policy.key: pod.policy for pod in pods.values() if pod.enforced},
        node_addresses={node.metadata.name: node.addresses for node in intent.nodes},
        warnings=tuple(people.warnings),
    )
