"""From selectors to identity numbers: an index over identities, and answers that are kept per selector."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from mesh.model import Identity, IdentityId, IdentityKind, Prefix, Protocol
from mesh.objects.policyrules import IpBlock, Peer
from mesh.objects.selectors import LabelSelector, Operator, Requirement

Numbers = frozenset[IdentityId]
NONE: Numbers = frozenset()


class PeerIndex:
    """Answers which identities a peer of a policy means. Built once for all policies of one state."""

    def __init__(self, identities: Iterable[Identity], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self._namespaces = namespaces
        self._in_namespace: dict[str, set[IdentityId]] = defaultdict(set)
        self._with_label: dict[tuple[str, str], set[IdentityId]] = defaultdict(set)
        self._with_key: dict[str, set[IdentityId]] = defaultdict(set)
        self._of_account: dict[str, set[IdentityId]] = defaultdict(set)
        self._of_entity: dict[str, set[IdentityId]] = defaultdict(set)
        self._named: dict[tuple[str, Protocol], dict[int, set[IdentityId]]] = defaultdict(lambda: defaultdict(set))
        self._of_block: dict[Prefix, set[IdentityId]] = defaultdict(set)
        for identity in identities:
            self._add(identity)
        self._peers: dict[tuple[str, Peer], Numbers] = {}

    def _add(self, identity: Identity) -> None:
        for entity in identity.entities:
            self._of_entity[entity].add(identity.id)
        for block in identity.blocks:
            self._of_block[block].add(identity.id)
        if identity.kind is not IdentityKind.POD:
            return
        self._in_namespace[identity.namespace].add(identity.id)
        self._of_account[f"{identity.namespace}/{identity.service_account}"].add(identity.id)
        for key, value in identity.labels:
            self._with_label[key, value].add(identity.id)
            self._with_key[key].add(identity.id)
        for name, protocol, port in identity.named_ports:
            self._named[name, protocol][port].add(identity.id)

    def resolve(self, peers: tuple[Peer, ...] | None, namespace: str) -> Numbers | None:
        """The identities that any of these peers means; None for everyone. `namespace` is the policy's."""
        if peers is None:
            return None
        return NONE.union(*(self._peer(peer, namespace) for peer in peers))

    def with_port(self, name: str, protocol: Protocol) -> Mapping[int, set[IdentityId]]:
        """Pods' identities that have a container port of this name, by its number."""
        return self._named.get((name, protocol), {})

    def _peer(self, peer: Peer, namespace: str) -> Numbers:
        known = self._peers.get((namespace, peer))
        if known is None:
            known = self._peers[namespace, peer] = self._resolve(peer, namespace)
        return known

    def _resolve(self, peer: Peer, namespace: str) -> Numbers:
        if peer.block is not None:
            return self._in_block(peer.block)
        found: set[IdentityId] | Numbers | None = None
        if peer.pod_selector is not None or peer.namespace_selector is not None:
            found = self._selected(peer.pod_selector, peer.namespace_selector, namespace)
        for names, table in ((peer.accounts, self._of_account), (peer.entities, self._of_entity)):
            if names:
                members = NONE.union(*(table.get(name, NONE) for name in names))
                found = members if found is None else found & members
        return frozenset(found or ())

    def _in_block(self, block: IpBlock) -> Numbers:
        within = frozenset(self._of_block.get(block.cidr, NONE))
        return within.difference(*(self._of_block.get(prefix, NONE) for prefix in block.excepts))

    def _selected(self, pods: LabelSelector | None, spaces: LabelSelector | None, namespace: str) -> set[IdentityId]:
        if spaces is None:
            found = set(self._in_namespace.get(namespace, ()))
        else:
            found = set()
            for name, labels in self._namespaces.items():
                if spaces.matches(labels):
                    found |= self._in_namespace.get(name, NONE)
        for requirement in pods.requirements if pods is not None else ():
            self._narrow(found, requirement)
        return found

    def _narrow(self, found: set[IdentityId], requirement: Requirement) -> None:
        match requirement.operator:
            case Operator.IN:
                found &= self._with_values(requirement)
            case Operator.NOT_IN:
                found -= self._with_values(requirement)
            case Operator.EXISTS:
                found &= self._with_key.get(requirement.key, NONE)
            case Operator.DOES_NOT_EXIST:
                found -= self._with_key.get(requirement.key, NONE)

    def _with_values(self, requirement: Requirement) -> Numbers:
        return NONE.union(*(self._with_label.get((requirement.key, value), NONE) for value in requirement.values))
