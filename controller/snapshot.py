"""What each node should know, from the compiled policy and the objects.

Pure. `cluster_view` does what is the same for all nodes, once per revision; `node_snapshot` adds what is a node's own.
A table that did not change is the very same mapping as in the view before, so that comparing two snapshots costs
nothing for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from controller.services import frontends
from mesh.model import Address, Identity, IdentityId, PolicyKey, PolicySet, Prefix, ReservedIdentity, Revision
from mesh.objects.core import Node
from mesh.objects.kinds import Object
from mesh.objects.meshconfig import MeshConfig
from mesh.policy.cluster import ClusterPolicy, PodPolicy
from mesh.policy.prefixes import host_prefix
from mesh.snapshot import Frontend, IpcacheEntry, MeshSettings, NodeSnapshot, PodEndpoint

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """One revision of the whole cluster, ready to be cut into snapshots."""

    revision: Revision
    policy: ClusterPolicy
    settings: MeshSettings
    identities: Mapping[IdentityId, Identity]
    ipcache: Mapping[Prefix, IpcacheEntry]
    frontends: Mapping[str, Frontend]
    pods: Mapping[str, tuple[PodPolicy, ...]]
    """By node."""
    node_addresses: Mapping[str, tuple[Address, ...]]


def cluster_view(
    objects: Iterable[Object], policy: ClusterPolicy, revision: Revision, before: ClusterView | None = None
) -> ClusterView:
    """The view of a revision. `before` lends its tables where they are equal."""
    everything = list(objects)
    node_addresses = {item.metadata.name: item.addresses for item in everything if isinstance(item, Node)}
    pods: dict[str, list[PodPolicy]] = defaultdict(list)
    for pod in policy.pods.values():
        if pod.node and pod.addresses:
            pods[pod.node].append(pod)
    return ClusterView(
        revision=revision,
        policy=policy,
        settings=_settings(everything),
        identities=_lent(before.identities if before else None, policy.identities),
        ipcache=_lent(before.ipcache if before else None, _ipcache(policy, node_addresses)),
        frontends=_lent(before.frontends if before else None, frontends(everything)),
        pods={node: tuple(sorted(found, key=lambda pod: pod.key)) for node, found in pods.items()},
        node_addresses=node_addresses,
    )


def node_snapshot(view: ClusterView, node: str) -> NodeSnapshot:
    """Everything that `node` needs. A node that nobody has announced has no pods, and the cluster's addresses."""
    policies: dict[PolicyKey, PolicySet] = {}
    endpoints: dict[str, PodEndpoint] = {}
    for pod in view.pods.get(node, ()):
        policies[pod.policy.key] = pod.policy
        endpoints[pod.key] = PodEndpoint(
            namespace=pod.namespace,
            name=pod.name,
            uid=pod.uid,
            service_account=pod.service_account,
            addresses=pod.addresses,
            enforced=pod.enforced,
            policy=pod.policy.key,
        )
    own = [host_prefix(address) for address in view.node_addresses.get(node, ())]
    ipcache = view.ipcache
    if own:
        host = IdentityId(ReservedIdentity.HOST)
        ipcache = {**ipcache, **{prefix: IpcacheEntry(prefix=prefix, identity=host, node=node) for prefix in own}}
    return NodeSnapshot(
        node=node,
        revision=view.revision,
        settings=view.settings,
        endpoints=endpoints,
        identities=view.identities,
        ipcache=ipcache,
        frontends=view.frontends,
        policies=policies,
    )


def _settings(objects: Iterable[Object]) -> MeshSettings:
    for item in objects:
        if isinstance(item, MeshConfig):
            return MeshSettings(trust_domain=item.trust_domain, deny_feedback=item.deny_feedback)
    return MeshSettings()


def _ipcache(policy: ClusterPolicy, node_addresses: Mapping[str, tuple[Address, ...]]) -> dict[Prefix, IpcacheEntry]:
    owners = {host_prefix(address): (pod.node, pod.key) for pod in policy.pods.values() for address, _ in pod.addresses}
    for node, addresses in node_addresses.items():
        owners |= {host_prefix(address): (node, "") for address in addresses}
    found: dict[Prefix, IpcacheEntry] = {}
    for prefix, identity in policy.prefixes.items():
        node, pod = owners.get(prefix, ("", ""))
        found[prefix] = IpcacheEntry(prefix=prefix, identity=identity, node=node, pod=pod)
    return found


def _lent(before: Mapping[K, T] | None, now: Mapping[K, T]) -> Mapping[K, T]:
    return before if before is not None and before == now else now
