"""The resources of a node (endpoints, identities, ipcache, frontends) between model and messages."""

from __future__ import annotations

from mesh.api import mesh_pb2 as pb
from mesh.api.codec_words import (
    CodecError,
    address_from_pb,
    address_to_pb,
    identity_id_from_pb,
    labels_from_pb,
    labels_to_pb,
    name_from_pb,
    port_from_pb,
    prefix_from_pb,
    prefix_to_pb,
    protocol_from_pb,
    word_from_pb,
)
from mesh.model import Identity, IdentityKind, PolicyKey, PortRange, Prefix
from mesh.snapshot import Backend, Frontend, IpcacheEntry, MeshSettings, PodEndpoint

_FEEDBACKS = ("Reset", "Drop")


def settings_to_pb(settings: MeshSettings) -> pb.Settings:
    return pb.Settings(trust_domain=settings.trust_domain, deny_feedback=settings.deny_feedback)


def settings_from_pb(message: pb.Settings, field: str = "settings") -> MeshSettings:
    if not message.trust_domain:
        raise CodecError(f"{field}.trust_domain", "is empty")
    if message.deny_feedback not in _FEEDBACKS:
        raise CodecError(f"{field}.deny_feedback", f"{message.deny_feedback[:40]!r} is neither Reset nor Drop")
    return MeshSettings(trust_domain=message.trust_domain, deny_feedback=message.deny_feedback)


def endpoint_to_pb(endpoint: PodEndpoint) -> pb.Endpoint:
    return pb.Endpoint(
        namespace=endpoint.namespace,
        name=endpoint.name,
        uid=endpoint.uid,
        service_account=endpoint.service_account,
        addresses=[
            pb.AddressIdentity(address=address_to_pb(address), identity=identity)
            for address, identity in endpoint.addresses
        ],
        enforced=endpoint.enforced,
        policy=endpoint.policy,
    )


def endpoint_from_pb(message: pb.Endpoint, field: str = "endpoint") -> PodEndpoint:
    if not message.policy:
        raise CodecError(f"{field}.policy", "is empty")
    addresses = tuple(
        (address_from_pb(item.address, f"{field}.addresses[{i}]"), identity_id_from_pb(item.identity))
        for i, item in enumerate(message.addresses)
    )
    if len({address for address, _ in addresses}) != len(addresses):
        raise CodecError(f"{field}.addresses", "an address comes twice")
    return PodEndpoint(
        namespace=name_from_pb(message.namespace, f"{field}.namespace"),
        name=name_from_pb(message.name, f"{field}.name"),
        uid=message.uid,
        service_account=message.service_account,
        addresses=addresses,
        enforced=message.enforced,
        policy=PolicyKey(message.policy),
    )


def identity_to_pb(identity: Identity) -> pb.Identity:
    return pb.Identity(
        id=identity.id,
        kind=identity.kind.value,
        namespace=identity.namespace,
        service_account=identity.service_account,
        labels=labels_to_pb(identity.labels),
        namespace_labels=labels_to_pb(identity.namespace_labels),
        entities=sorted(identity.entities),
        blocks=[prefix_to_pb(block) for block in sorted(identity.blocks, key=_prefix_order)],
        named_ports=[
            pb.NamedPort(name=name, protocol=protocol, port=port) for name, protocol, port in identity.named_ports
        ],
        prefix=prefix_to_pb(identity.prefix) if identity.prefix is not None else None,
    )


def identity_from_pb(message: pb.Identity, field: str = "identity") -> Identity:
    return Identity(
        id=identity_id_from_pb(message.id),
        kind=word_from_pb(IdentityKind, message.kind, f"{field}.kind"),
        namespace=message.namespace,
        service_account=message.service_account,
        labels=labels_from_pb(message.labels, f"{field}.labels"),
        namespace_labels=labels_from_pb(message.namespace_labels, f"{field}.namespace_labels"),
        entities=frozenset(message.entities),
        blocks=frozenset(prefix_from_pb(block, f"{field}.blocks[{i}]") for i, block in enumerate(message.blocks)),
        named_ports=tuple(
            sorted(
                (
                    port.name,
                    protocol_from_pb(port.protocol, f"{field}.named_ports[{i}].protocol"),
                    port_from_pb(port.port, f"{field}.named_ports[{i}].port"),
                )
                for i, port in enumerate(message.named_ports)
            )
        ),
        prefix=prefix_from_pb(message.prefix, f"{field}.prefix") if message.HasField("prefix") else None,
    )


def ipcache_to_pb(entry: IpcacheEntry) -> pb.IpcacheEntry:
    return pb.IpcacheEntry(prefix=prefix_to_pb(entry.prefix), identity=entry.identity, node=entry.node, pod=entry.pod)


def ipcache_from_pb(message: pb.IpcacheEntry, field: str = "ipcache") -> IpcacheEntry:
    return IpcacheEntry(
        prefix=prefix_from_pb(message.prefix, f"{field}.prefix"),
        identity=identity_id_from_pb(message.identity),
        node=message.node,
        pod=message.pod,
    )


def frontend_to_pb(frontend: Frontend) -> pb.Frontend:
    return pb.Frontend(
        namespace=frontend.namespace,
        name=frontend.name,
        address=address_to_pb(frontend.address),
        protocol=frontend.ports.protocol,
        port=frontend.ports.low,
        backends=[
            pb.Backend(address=address_to_pb(backend.address), port=backend.port, pod=backend.pod)
            for backend in frontend.backends
        ],
    )


def frontend_from_pb(message: pb.Frontend, field: str = "frontend") -> Frontend:
    address = address_from_pb(message.address, f"{field}.address")
    port = port_from_pb(message.port, f"{field}.port")
    backends = tuple(
        Backend(
            address_from_pb(item.address, f"{field}.backends[{i}].address"),
            port_from_pb(item.port, f"{field}.backends[{i}].port"),
            item.pod,
        )
        for i, item in enumerate(message.backends)
    )
    for i, backend in enumerate(backends):
        if backend.address.version != address.version:
            raise CodecError(f"{field}.backends[{i}].address", f"{backend.address} is not of the family of {address}")
    return Frontend(
        namespace=name_from_pb(message.namespace, f"{field}.namespace"),
        name=name_from_pb(message.name, f"{field}.name"),
        address=address,
        ports=PortRange(protocol_from_pb(message.protocol, f"{field}.protocol"), port, port),
        backends=backends,
    )


def _prefix_order(prefix: Prefix) -> tuple[int, bytes, int]:
    return prefix.version, prefix.network_address.packed, prefix.prefixlen
