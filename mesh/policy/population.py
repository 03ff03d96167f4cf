"""Who there is in a cluster: identities, the addresses of each pod with theirs, and who stands behind which prefix."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

from mesh.model import Address, Identity, IdentityId, IdentityKind, Prefix, Protocol, ReservedIdentity
from mesh.objects.core import Pod
from mesh.policy.identities import RESERVED, IdentityShape, is_volatile
from mesh.policy.intent import Intent
from mesh.policy.prefixes import PrefixTable, host_prefix

Allocate = Callable[[IdentityShape], IdentityId]
"""Gives a shape its number; the same shape always gets the same one."""

EVERYWHERE: tuple[Prefix, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def named_ports(pod: Pod) -> tuple[tuple[str, Protocol, int], ...]:
    """The container ports that have a name, sorted."""
    return tuple(sorted({(port.name, port.protocol, port.number) for port in pod.spec.ports if port.name}))


class Population:
    """Who there is: identities, the addresses of each pod with theirs, and prefixes."""

    def __init__(self, intent: Intent, allocate: Allocate) -> None:
        self._intent = intent
        self._allocate = allocate
        self._blocks = intent.blocks
        self._table = PrefixTable(dict.fromkeys(self._blocks))
        self._namespace_labels = {name: tuple(sorted(labels.items())) for name, labels in intent.namespaces.items()}
        self._numbers: dict[IdentityShape, IdentityId] = {}
        self.identities: dict[IdentityId, Identity] = dict(RESERVED)
        self.addresses: dict[str, tuple[tuple[Address, IdentityId], ...]] = {}
        self.prefixes: dict[Prefix, IdentityId] = {}
        self.warnings: list[str] = []
        self._add_world()
        self._add_nodes()
        self._add_pods()

    def _number(self, shape: IdentityShape) -> IdentityId:
        known = self._numbers.get(shape)
        if known is None:
            known = self._numbers[shape] = self._allocate(shape)
            self.identities[known] = shape.identity(known)
        return known

    def _add_world(self) -> None:
        ranges = [prefix for node in self._intent.nodes for prefix in node.pod_cidrs]
        known = PrefixTable(dict.fromkeys(ranges))
        self.prefixes.update(dict.fromkeys(EVERYWHERE, IdentityId(ReservedIdentity.WORLD)))
        for prefix in sorted(self._blocks, key=lambda block: (block.version, block)):
            # Inside the cluster's ranges an address that nobody announced stays unknown, whatever a block says.
            if known.supernets(prefix):
                continue
            shape = IdentityShape(
                kind=IdentityKind.ADDRESS,
                entities=frozenset({"world"}),
                blocks=self._table.supernets(prefix),
                prefix=prefix,
            )
            self.prefixes[prefix] = self._number(shape)
        self.prefixes.update(dict.fromkeys(ranges, IdentityId(ReservedIdentity.UNKNOWN)))

    def _add_nodes(self) -> None:
        nodes = {address for node in self._intent.nodes for address in node.addresses}
        for address in sorted(nodes | self._intent.api_server, key=lambda one: (one.version, int(one))):
            entities = RESERVED[IdentityId(ReservedIdentity.REMOTE_NODE)].entities if address in nodes else frozenset()
            reserved = ReservedIdentity.REMOTE_NODE
            if address in self._intent.api_server:
                entities |= {"kube-apiserver"}
                reserved = ReservedIdentity.KUBE_APISERVER
            blocks = self._table.containing(address)
            plain = RESERVED[IdentityId(reserved)]
            if not blocks and entities == plain.entities:
                self.prefixes[host_prefix(address)] = plain.id
            else:
                shape = IdentityShape(kind=IdentityKind.NODE, entities=entities, blocks=blocks)
                self.prefixes[host_prefix(address)] = self._number(shape)

    def _add_pods(self) -> None:
        owners: dict[Address, str] = {}
        keys = self._intent.selected_keys
        for pod in self._intent.pods:
            if pod.spec.host_network:
                continue
            labels = tuple(item for item in pod.metadata.labels if not is_volatile(item[0]) or item[0] in keys)
            found = []
            for address in pod.ips:
                number = self._number(self._shape(pod, labels, self._table.containing(address)))
                found.append((address, number))
                if owners.setdefault(address, pod.key) == pod.key:
                    self.prefixes[host_prefix(address)] = number
                else:
                    # Two pods say that it is theirs: nobody can be told apart, so nobody is let in by it.
                    self.prefixes[host_prefix(address)] = IdentityId(ReservedIdentity.UNKNOWN)
                    self.warnings.append(f"{address} is claimed by pods {owners[address]} and {pod.key}; it is denied")
            self.addresses[pod.key] = tuple(found)

    def _shape(self, pod: Pod, labels: tuple[tuple[str, str], ...], blocks: frozenset[Prefix]) -> IdentityShape:
        return IdentityShape(
            kind=IdentityKind.POD,
            namespace=pod.metadata.namespace,
            service_account=pod.spec.service_account,
            labels=labels,
            namespace_labels=self._namespace_labels[pod.metadata.namespace],
            entities=frozenset({"cluster"}),
            blocks=blocks,
            named_ports=named_ports(pod),
        )
