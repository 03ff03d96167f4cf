"""What one node should know, and the difference between two such states.

The controller makes a `NodeSnapshot` per node and sends it once, then `Delta`s; the agent applies them. Both use the
functions of this file, so `apply(a, diff(a, b)) == b` holds by test. Resources are kept by key in plain dicts that
nobody changes: a new state is a new snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mesh.model import (
    Address,
    Identity,
    IdentityId,
    PolicyKey,
    PolicySet,
    PortRange,
    Prefix,
    Revision,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEndpoint:
    """A pod of this node. Its addresses can have different identities where an ipBlock tells them apart."""

    namespace: str
    name: str
    uid: str
    service_account: str
    addresses: tuple[tuple[Address, IdentityId], ...]
    enforced: bool
    """False: un-enrolled; it is a peer for others, its own traffic is left alone."""
    policy: PolicyKey

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpcacheEntry:
    """Which identity stands behind a prefix. UNKNOWN marks the cluster's own ranges."""

    prefix: Prefix
    identity: IdentityId
    node: str = ""
    pod: str = ""
    """`namespace/name`, where one pod owns the address."""


@dataclass(frozen=True, slots=True)
class Backend:
    address: Address
    port: int
    pod: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """One service address, port and protocol, with the ready backends of the same family, in stable order."""

    namespace: str
    name: str
    address: Address
    ports: PortRange
    """One port: low == high."""
    backends: tuple[Backend, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.address}|{self.ports.protocol.name}|{self.ports.low}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """The part of MeshConfig that nodes act on."""

    trust_domain: str = "cluster.local"
    deny_feedback: str = "Reset"
    """Reset or Drop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSnapshot:
    """Everything that a node needs, under one revision."""

    node: str
    revision: Revision = Revision(0)
    settings: MeshSettings = field(default_factory=MeshSettings)
    endpoints: Mapping[str, PodEndpoint] = field(default_factory=dict)
    identities: Mapping[IdentityId, Identity] = field(default_factory=dict)
    ipcache: Mapping[Prefix, IpcacheEntry] = field(default_factory=dict)
    frontends: Mapping[str, Frontend] = field(default_factory=dict)
    policies: Mapping[PolicyKey, PolicySet] = field(default_factory=dict)


_TABLES = ("endpoints", "identities", "ipcache", "frontends", "policies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """How to get from revision `base` to `revision`: per table what to put and what to remove."""

    base: Revision
    revision: Revision
    settings: MeshSettings
    put: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    """Table name -> key -> resource."""
    remove: Mapping[str, frozenset[Any]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not any(self.put.values()) and not any(self.remove.values())


def diff(old: NodeSnapshot, new: NodeSnapshot) -> Delta:
    """What must change in `old` to make it `new`. Both must be of the same node."""
    put: dict[str, Mapping[Any, Any]] = {}
    remove: dict[str, frozenset[Any]] = {}
    for table in _TABLES:
        before, after = getattr(old, table), getattr(new, table)
        if before is after:  # Lent from one snapshot to the next: nothing to compare.
            put[table], remove[table] = {}, frozenset()
            continue
        put[table] = {key: item for key, item in after.items() if before.get(key) != item}
        remove[table] = frozenset(before.keys() - after.keys())
    return Delta(base=old.revision, revision=new.revision, settings=new.settings, put=put, remove=remove)


def apply(snapshot: NodeSnapshot, delta: Delta) -> NodeSnapshot:
    """The snapshot after the delta. ValueError where the delta starts from another revision."""
    if delta.base != snapshot.revision:
        raise ValueError(f"delta starts at revision {delta.base}, this node holds {snapshot.revision}")
    tables: dict[str, dict[Any, Any]] = {}
    for table in _TABLES:
        held = dict(getattr(snapshot, table))
        for key in delta.remove.get(table, ()):
            held.pop(key, None)
        held.update(delta.put.get(table, {}))
        tables[table] = held
    return replace(snapshot, revision=delta.revision, settings=delta.settings, **tables)  # type: ignore[arg-type]


def dangling(snapshot: NodeSnapshot) -> tuple[str, ...]:
    """What a snapshot names but does not hold, one sentence each. Acting on such a snapshot would mean guessing."""
    problems: list[str] = []
    for endpoint in snapshot.endpoints.values():
        if endpoint.policy not in snapshot.policies:
            problems.append(f"endpoint {endpoint.key} names policy set {endpoint.policy}, which is not there")
        problems.extend(
            f"endpoint {endpoint.key} has identity {identity}, which is not there"
            for _, identity in endpoint.addresses
            if identity not in snapshot.identities
        )
    return tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyView:
    """What the proxy needs to authorise; a new revision replaces it whole."""

    revision: Revision
    endpoints: Mapping[int, PodEndpoint]
    """By the number that redirect records carry."""
    policies: Mapping[PolicyKey, PolicySet]
    identities: Mapping[IdentityId, Identity]
    services: Mapping[int, str]
    """Number in the redirect record -> `namespace/name`."""
    trust_domain: str
    moved: Mapping[Address, IdentityId] = field(default_factory=dict)
    """Addresses whose identity changed lately: a redirect record made before that still says the former one."""
