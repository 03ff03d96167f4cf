"""What makes an identity: a shape, before the allocator gave it a number.

Everything that can make two peers differ for some rule is part of the shape, and nothing else. The allocator (the
controller's store, or `FreshNumbers`) gives equal shapes equal numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mesh.model import (
    FIRST_ADDRESS_IDENTITY,
    FIRST_POD_IDENTITY,
    Identity,
    IdentityId,
    IdentityKind,
    Prefix,
    Protocol,
    ReservedIdentity,
)

VOLATILE_LABELS = frozenset({
    "apps.kubernetes.io/pod-index",
    "controller-revision-hash",
    "controller-uid",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
})  # fmt: skip
VOLATILE_PREFIXES = ("batch.kubernetes.io/",)
"""Labels that controllers put on each pod or revision: they count only where a policy selects by them."""


def is_volatile(key: str) -> bool:
    return key in VOLATILE_LABELS or key.startswith(VOLATILE_PREFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityShape:
    """An identity without its number."""

    kind: IdentityKind
    namespace: str = ""
    service_account: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    namespace_labels: tuple[tuple[str, str], ...] = ()
    entities: frozenset[str] = frozenset()
    blocks: frozenset[Prefix] = frozenset()
    named_ports: tuple[tuple[str, Protocol, int], ...] = ()
    prefix: Prefix | None = None

    @property
    def key(self) -> str:
        """The shape as one text: equal for equal shapes, in every process and after every restart."""
        return json.dumps(
            [
                self.kind.value,
                self.namespace,
                self.service_account,
                self.labels,
                self.namespace_labels,
                sorted(self.entities),
                sorted(str(block) for block in self.blocks),
                [(name, int(protocol), port) for name, protocol, port in self.named_ports],
                str(self.prefix or ""),
            ],
            separators=(",", ":"),
        )

    def identity(self, number: IdentityId) -> Identity:
        return Identity(
            id=number,
            kind=self.kind,
            namespace=self.namespace,
            service_account=self.service_account,
            labels=self.labels,
            namespace_labels=self.namespace_labels,
            entities=self.entities,
            blocks=self.blocks,
            named_ports=self.named_ports,
            prefix=self.prefix,
        )


RESERVED: dict[IdentityId, Identity] = {
    IdentityId(number): Identity(id=IdentityId(number), kind=IdentityKind.RESERVED, entities=frozenset(entities))
    for number, entities in (
        (ReservedIdentity.UNKNOWN, ()),
        (ReservedIdentity.HOST, ("host", "cluster")),
        (ReservedIdentity.WORLD, ("world",)),
        (ReservedIdentity.REMOTE_NODE, ("remote-node", "cluster")),
        (ReservedIdentity.HEALTH, ()),
        (ReservedIdentity.KUBE_APISERVER, ("kube-apiserver",)),
    )
}


class FreshNumbers:
    """An allocator that remembers nothing beyond its own life: for a plan, a lint, a test."""

    def __init__(self) -> None:
        self._given: dict[IdentityShape, IdentityId] = {}
        self._next = {True: FIRST_ADDRESS_IDENTITY, False: FIRST_POD_IDENTITY}

    def __call__(self, shape: IdentityShape) -> IdentityId:
        number = self._given.get(shape)
        if number is None:
            outside = shape.kind is IdentityKind.ADDRESS
            number = self._given[shape] = IdentityId(self._next[outside])
            self._next[outside] += 1
        return number
