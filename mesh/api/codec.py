"""Whole messages between `mesh.snapshot` and protobuf: snapshots, deltas, and the proxy's view.

This file and its `codec_*` siblings are the only code that touches protobuf fields of resources. `*_to_pb` cannot fail;
`*_from_pb` validates everything and raises CodecError, so that what comes out of it can be acted on. Import from here;
the siblings are its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from mesh.api import mesh_pb2 as pb
from mesh.api.codec_flow import flow_from_pb, flow_to_pb
from mesh.api.codec_node import (
    endpoint_from_pb,
    endpoint_to_pb,
    frontend_from_pb,
    frontend_to_pb,
    identity_from_pb,
    identity_to_pb,
    ipcache_from_pb,
    ipcache_to_pb,
    settings_from_pb,
    settings_to_pb,
)
from mesh.api.codec_policy import policy_set_from_pb, policy_set_to_pb, rule_ref_from_pb, rule_ref_to_pb
from mesh.api.codec_words import (
    CodecError,
    address_from_pb,
    address_to_pb,
    name_from_pb,
    prefix_from_pb,
    prefix_to_pb,
)
from mesh.model import Address, Identity, IdentityId, PolicyKey, PolicySet, Revision
from mesh.snapshot import Delta, NodeSnapshot, PodEndpoint, ProxyView, dangling

__all__ = [
    "CodecError",
    "delta_from_pb",
    "delta_to_pb",
    "endpoint_from_pb",
    "endpoint_to_pb",
    "flow_from_pb",
    "flow_to_pb",
    "frontend_from_pb",
    "frontend_to_pb",
    "identity_from_pb",
    "identity_to_pb",
    "ipcache_from_pb",
    "ipcache_to_pb",
    "parse",
    "policy_set_from_pb",
    "policy_set_to_pb",
    "proxy_snapshot_from_pb",
    "proxy_snapshot_to_pb",
    "rule_ref_from_pb",
    "rule_ref_to_pb",
    "settings_from_pb",
    "settings_to_pb",
    "snapshot_from_pb",
    "snapshot_to_pb",
]

K = TypeVar("K")
T = TypeVar("T")
W = TypeVar("W", bound=Message)


def parse(kind: type[W], data: bytes) -> W:
    """The message that `data` holds; CodecError where it holds none."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise CodecError(kind.DESCRIPTOR.name, f"{len(data)} bytes are no such message ({error})") from error
    return message


def snapshot_to_pb(snapshot: NodeSnapshot) -> pb.Snapshot:
    return pb.Snapshot(
        node=snapshot.node,
        revision=snapshot.revision,
        settings=settings_to_pb(snapshot.settings),
        endpoints=[endpoint_to_pb(item) for item in snapshot.endpoints.values()],
        identities=[identity_to_pb(item) for item in snapshot.identities.values()],
        ipcache=[ipcache_to_pb(item) for item in snapshot.ipcache.values()],
        frontends=[frontend_to_pb(item) for item in snapshot.frontends.values()],
        policies=[policy_set_to_pb(item) for item in snapshot.policies.values()],
    )


def snapshot_from_pb(message: pb.Snapshot) -> NodeSnapshot:
    snapshot = NodeSnapshot(
        node=name_from_pb(message.node, "snapshot.node"),
        revision=Revision(message.revision),
        settings=settings_from_pb(message.settings, "snapshot.settings"),
        endpoints=_table(message.endpoints, endpoint_from_pb, lambda item: item.key, "snapshot.endpoints"),
        identities=_table(message.identities, identity_from_pb, lambda item: item.id, "snapshot.identities"),
        ipcache=_table(message.ipcache, ipcache_from_pb, lambda item: item.prefix, "snapshot.ipcache"),
        frontends=_table(message.frontends, frontend_from_pb, lambda item: item.key, "snapshot.frontends"),
        policies=_table(message.policies, policy_set_from_pb, lambda item: item.key, "snapshot.policies"),
    )
    problems = dangling(snapshot)
    if problems:
        raise CodecError("snapshot", problems[0])
    return snapshot


def delta_to_pb(delta: Delta) -> pb.SnapshotDelta:
    put, remove = delta.put, delta.remove
    return pb.SnapshotDelta(
        base=delta.base,
        revision=delta.revision,
        settings=settings_to_pb(delta.settings),
        put_endpoints=[endpoint_to_pb(item) for item in put.get("endpoints", {}).values()],
        put_identities=[identity_to_pb(item) for item in put.get("identities", {}).values()],
        put_ipcache=[ipcache_to_pb(item) for item in put.get("ipcache", {}).values()],
        put_frontends=[frontend_to_pb(item) for item in put.get("frontends", {}).values()],
        put_policies=[policy_set_to_pb(item) for item in put.get("policies", {}).values()],
        remove_endpoints=sorted(remove.get("endpoints", ())),
        remove_identities=sorted(remove.get("identities", ())),
        remove_ipcache=[prefix_to_pb(prefix) for prefix in remove.get("ipcache", ())],
        remove_frontends=sorted(remove.get("frontends", ())),
        remove_policies=sorted(remove.get("policies", ())),
    )


def delta_from_pb(message: pb.SnapshotDelta) -> Delta:
    """Whether its references hold shows after `mesh.snapshot.apply`: ask `mesh.snapshot.dangling` of the result."""
    if message.revision < message.base:
        raise CodecError("delta.revision", f"{message.revision} is before its base {message.base}")
    put: dict[str, Mapping[Any, Any]] = {
        "endpoints": _table(message.put_endpoints, endpoint_from_pb, lambda item: item.key, "delta.put_endpoints"),
        "identities": _table(message.put_identities, identity_from_pb, lambda item: item.id, "delta.put_identities"),
        "ipcache": _table(message.put_ipcache, ipcache_from_pb, lambda item: item.prefix, "delta.put_ipcache"),
        "frontends": _table(message.put_frontends, frontend_from_pb, lambda item: item.key, "delta.put_frontends"),
        "policies": _table(message.put_policies, policy_set_from_pb, lambda item: item.key, "delta.put_policies"),
    }
    return Delta(
        base=Revision(message.base),
        revision=Revision(message.revision),
        settings=settings_from_pb(message.settings, "delta.settings"),
        put=put,
        remove={
            "endpoints": frozenset(message.remove_endpoints),
            "identities": frozenset(IdentityId(number) for number in message.remove_identities),
            "ipcache": frozenset(
                prefix_from_pb(prefix, f"delta.remove_ipcache[{i}]") for i, prefix in enumerate(message.remove_ipcache)
            ),
            "frontends": frozenset(message.remove_frontends),
            "policies": frozenset(PolicyKey(key) for key in message.remove_policies),
        },
    )


def proxy_snapshot_to_pb(
    revision: int,
    endpoints: Mapping[int, PodEndpoint],
    policies: Mapping[PolicyKey, PolicySet],
    identities: Mapping[IdentityId, Identity],
    services: Mapping[int, str],
    trust_domain: str,
    moved: Mapping[Address, IdentityId],
) -> pb.ProxySnapshot:
    """`endpoints` and `services` by the numbers that redirect records carry; a service is written `namespace/name`."""
    return pb.ProxySnapshot(
        revision=revision,
        endpoints=[pb.ProxyEndpoint(id=number, endpoint=endpoint_to_pb(item)) for number, item in endpoints.items()],
        policies=[policy_set_to_pb(item) for item in policies.values()],
        identities=[identity_to_pb(item) for item in identities.values()],
        services=[_service_to_pb(number, name) for number, name in services.items()],
        trust_domain=trust_domain,
        moved=[pb.AddressIdentity(address=address_to_pb(ip), identity=number) for ip, number in moved.items()],
    )


def proxy_snapshot_from_pb(message: pb.ProxySnapshot) -> ProxyView:
    endpoints: dict[int, PodEndpoint] = {}
    for i, item in enumerate(message.endpoints):
        field = f"proxy_snapshot.endpoints[{i}]"
        _no_duplicate(item.id, endpoints, f"{field}.id")
        endpoints[item.id] = endpoint_from_pb(item.endpoint, f"{field}.endpoint")
    services: dict[int, str] = {}
    for i, service in enumerate(message.services):
        field = f"proxy_snapshot.services[{i}]"
        _no_duplicate(service.id, services, f"{field}.id")
        namespace = name_from_pb(service.namespace, f"{field}.namespace")
        services[service.id] = f"{namespace}/{name_from_pb(service.name, f'{field}.name')}"
    moved = (
        (address_from_pb(item.address, f"proxy_snapshot.moved[{i}].address"), IdentityId(item.identity))
        for i, item in enumerate(message.moved)
    )
    view = ProxyView(
        revision=Revision(message.revision),
        endpoints=endpoints,
        policies=_table(message.policies, policy_set_from_pb, lambda item: item.key, "proxy_snapshot.policies"),
        identities=_table(message.identities, identity_from_pb, lambda item: item.id, "proxy_snapshot.identities"),
        services=services,
        trust_domain=message.trust_domain,
        moved=dict(moved),
    )
    for endpoint in endpoints.values():
        if endpoint.policy not in view.policies:
            raise CodecError("proxy_snapshot", f"endpoint {endpoint.key} names policy set {endpoint.policy}, not sent")
    return view


def _service_to_pb(number: int, key: str) -> pb.ProxyService:
    namespace, _, name = key.partition("/")
    return pb.ProxyService(id=number, namespace=namespace, name=name)


def _table(messages: Iterable[W], read: Callable[[W, str], T], key: Callable[[T], K], field: str) -> dict[K, T]:
    table: dict[K, T] = {}
    for i, message in enumerate(messages):
        item = read(message, f"{field}[{i}]")
        name = key(item)
        _no_duplicate(name, table, f"{field}[{i}]")
        table[name] = item
    return table


def _no_duplicate(key: K, table: Mapping[K, T], field: str) -> None:
    if key in table:
        raise CodecError(field, f"{key} comes twice")
