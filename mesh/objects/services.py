"""Service (`v1`) and EndpointSlice (`discovery.k8s.io/v1`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mesh.model import Address, Protocol
from mesh.objects.metadata import Head, KubeObject
from mesh.objects.names import address, cidr, ip, label_key, label_value, port_name
from mesh.objects.podspec import PROTOCOLS
from mesh.objects.reader import NOT_YET, Reader

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_FAMILIES = {"IPv4": 4, "IPv6": 6}
_PASSED_BY = ("internalTrafficPolicy", "sessionAffinityConfig", "trafficDistribution")
FROM_OUTSIDE = ("NodePort", "LoadBalancer")
"""Taken as ClusterIP, with a warning (`advice`): reachable inside the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    port: int
    protocol: Protocol = Protocol.TCP
    name: str = ""
    target: int | str
    """Number, or the name of a container port; the service port itself where nothing was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(KubeObject):
    kind: ClassVar[str] = "Service"
    selector: tuple[tuple[str, str], ...] = ()
    """Empty: endpoints are given by hand."""
    ports: tuple[ServicePort, ...] = ()
    cluster_ips: tuple[Address, ...] = ()
    headless: bool = False
    ip_families: tuple[int, ...] = ()
    """Asked for: 4 and 6, in order; empty leaves it to the allocator."""
    publish_not_ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceEndpoint:
    """One entry of a slice's `endpoints`."""

    addresses: tuple[Address, ...]
    ready: bool = True
    node_name: str = ""
    pod: str = ""
    """`namespace/name` of the pod behind it, where one is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePort:
    name: str = ""
    protocol: Protocol = Protocol.TCP
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice(KubeObject):
    kind: ClassVar[str] = "EndpointSlice"
    service: str = ""
    """`namespace/name` of the Service that it belongs to; empty: none."""
    version: int
    """4 or 6."""
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[SlicePort, ...] = ()


def read_service(root: Reader, head: Head) -> Service:
    root.require("spec")
    root.skip("status")
    spec = root.inside("spec")
    kind = spec.choice("type", _TYPES, default="ClusterIP")
    if kind == "ExternalName":
        spec.refuse("type", f"{kind} is {NOT_YET}; ClusterIP is")
    if spec.choice("sessionAffinity", ("None", "ClientIP"), default="None") == "ClientIP":
        spec.refuse("sessionAffinity", f"ClientIP is {NOT_YET}")
    spec.not_yet("externalIPs", "externalName")
    _check_way_from_outside(spec, kind)
    cluster_ips, headless = _read_cluster_ips(spec)
    if headless and kind in FROM_OUTSIDE:
        spec.refuse("clusterIP", f"None goes with type ClusterIP, not with {kind}")
    if not spec.raw("ports") and not headless:
        spec.refuse("ports", "at least one port is needed")
    families = spec.texts("ipFamilies", _family_reason)
    spec.choice("ipFamilyPolicy", ("SingleStack", "PreferDualStack", "RequireDualStack"))
    service = Service(
        metadata=head.metadata,
        document=head.document,
        file=head.file,
        selector=spec.pairs("selector", label_key, label_value),
        ports=_read_service_ports(spec, kind),
        cluster_ips=cluster_ips,
        headless=headless,
        ip_families=tuple(_FAMILIES[family] for family in families),
        publish_not_ready=spec.flag("publishNotReadyAddresses"),
    )
    spec.skip(*_PASSED_BY)
    spec.close()
    return service


def _check_way_from_outside(spec: Reader, kind: str) -> None:
    """Fields that say how the outside reaches the Service. Nothing acts upon them, so only their form counts."""
    spec.choice("externalTrafficPolicy", ("Cluster", "Local"))
    spec.flag("allocateLoadBalancerNodePorts")
    spec.number("healthCheckNodePort", 0, 65535)
    spec.text("loadBalancerClass")
    spec.text("loadBalancerIP", check=lambda text: ip(text) if text else None)
    spec.texts("loadBalancerSourceRanges", lambda text: cidr(text.strip()))
    if spec.has("loadBalancerIP") and kind != "LoadBalancer":
        spec.refuse("loadBalancerIP", "goes with type LoadBalancer")


def _family_reason(text: str) -> str | None:
    return None if text in _FAMILIES else f"{text[:80]!r} is not IPv4 or IPv6"


def _read_cluster_ips(spec: Reader) -> tuple[tuple[Address, ...], bool]:
    def check(text: str) -> str | None:
        return None if text in ("", "None") else ip(text)

    first = spec.text("clusterIP", check=check)
    listed = spec.texts("clusterIPs", check)
    if first and listed and first != listed[0]:
        spec.refuse("clusterIP", "must be the first of clusterIPs")
    words = listed or ((first,) if first else ())
    headless = "None" in words
    if headless and len(words) > 1:
        spec.refuse("clusterIPs", "None stands alone")
    found = tuple(known for text in words if (known := address(text)) is not None)
    if len({one.version for one in found}) != len(found):
        spec.refuse("clusterIPs", "at most one address of each family")
    return found, headless


def _read_service_ports(spec: Reader, kind: str) -> tuple[ServicePort, ...]:
    ports: list[ServicePort] = []
    readers = spec.each("ports")
    for item in readers:
        item.require("port")
        number = item.number("port", 1, 65535) or 0
        protocol = PROTOCOLS[item.choice("protocol", tuple(PROTOCOLS), default="TCP")]
        name = item.text("name", check=port_name)
        if len(readers) > 1 and not item.has("name"):
            item.refuse("name", "is needed where a service has several ports")
        if name and any(port.name == name for port in ports):
            item.refuse("name", f"two ports of this service are named {name!r}")
        if any((port.port, port.protocol) == (number, protocol) for port in ports):
            item.refuse("port", f"{protocol.name} {number} stands here twice")
        target = read_port(item, "targetPort")
        item.text("appProtocol")
        if item.number("nodePort", 0, 65535) and kind not in FROM_OUTSIDE:
            item.refuse("nodePort", "goes with type NodePort or LoadBalancer")
        item.close()
        ports.append(ServicePort(port=number, protocol=protocol, name=name, target=target or number))
    return tuple(ports)


def read_port(reader: Reader, name: str) -> int | str | None:
    """A port by number or by name."""
    if isinstance(reader.raw(name), str):
        return reader.text(name, check=_name_or_quoted_number) or None
    return reader.number(name, 1, 65535)


def _name_or_quoted_number(text: str) -> str | None:
    if text.isdecimal():
        return f"{text[:20]!r} is text; write the number without quotes"
    return port_name(text)


def read_endpoint_slice(root: Reader, head: Head) -> EndpointSlice:
    family = root.choice("addressType", ("IPv4", "IPv6", "FQDN"), default="IPv4")
    root.require("addressType")
    if family == "FQDN":
        root.refuse("addressType", f"FQDN is {NOT_YET}")
    version = _FAMILIES.get(family, 4)
    service = dict(head.metadata.labels).get(SERVICE_NAME_LABEL, "")
    return EndpointSlice(
        metadata=head.metadata,
        document=head.document,
        file=head.file,
        service=f"{head.metadata.namespace}/{service}" if service else "",
        version=version,
        endpoints=tuple(_read_endpoint(item, version, head.metadata.namespace) for item in root.each("endpoints")),
        ports=tuple(_read_slice_port(item) for item in root.each("ports")),
    )


def _read_endpoint(reader: Reader, version: int, namespace: str) -> SliceEndpoint:
    def check(text: str) -> str | None:
        found = address(text)
        return ip(text) if found is None or found.version == version else f"{text} is not of the slice's addressType"

    if not reader.raw("addresses"):
        reader.refuse("addresses", "at least one address is needed")
    conditions = reader.inside("conditions")
    ready = conditions.flag("ready", default=True)
    conditions.skip("serving", "terminating")
    conditions.close()
    target = reader.inside("targetRef")
    pod = f"{target.text('namespace', default=namespace)}/{target.text('name')}" if target.raw("kind") == "Pod" else ""
    endpoint = SliceEndpoint(
        addresses=tuple(found for text in reader.texts("addresses", check) if (found := address(text))),
        ready=ready,
        node_name=reader.text("nodeName"),
        pod=pod,
    )
    reader.skip("hostname", "zone", "hints", "deprecatedTopology")
    reader.close()
    return endpoint


def _read_slice_port(reader: Reader) -> SlicePort:
    port = SlicePort(
        name=reader.text("name", check=lambda text: port_name(text) if text else None),
        protocol=PROTOCOLS[reader.choice("protocol", tuple(PROTOCOLS), default="TCP")],
        port=reader.number("port", 1, 65535),
    )
    reader.skip("appProtocol")
    reader.close()
    return port
