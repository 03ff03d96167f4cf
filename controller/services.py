"""Services and EndpointSlices to frontends: which address and port leads to which ready backends.

Pure. A headless Service has no frontend. The order of backends follows from their addresses, so equal input gives
equal frontends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mesh.model import Address, PortRange
from mesh.objects.kinds import Object
from mesh.objects.services import EndpointSlice, Service, ServicePort
from mesh.snapshot import Backend, Frontend


def frontends(objects: Iterable[Object]) -> dict[str, Frontend]:
    """Every frontend of the cluster, by its key."""
    services: list[Service] = []
    slices: dict[str, list[EndpointSlice]] = defaultdict(list)
    for item in objects:
        if isinstance(item, Service):
            services.append(item)
        elif isinstance(item, EndpointSlice) and item.service:
            slices[item.service].append(item)
    found: dict[str, Frontend] = {}
    for service in sorted(services, key=lambda item: item.key):
        for address in service.cluster_ips:
            for port in service.ports:
                frontend = Frontend(
                    namespace=service.metadata.namespace,
                    name=service.metadata.name,
                    address=address,
                    ports=PortRange(port.protocol, port.port, port.port),
                    backends=backends(service, port, slices.get(service.key, ()), address.version),
                )
                found[frontend.key] = frontend
    return found


def backends(
    service: Service, port: ServicePort, slices: Iterable[EndpointSlice], version: int | None = None
) -> tuple[Backend, ...]:
    """The backends behind one port of a Service: ready, of the family asked for, sorted, each once.

    A slice carries the numbers behind named target ports; its port has the name of the service's port.
    """
    found: dict[tuple[Address, int], Backend] = {}
    for item in slices:
        if version is not None and item.version != version:
            continue
        numbers = [
            entry.port
            for entry in item.ports
            if entry.name == port.name and entry.protocol is port.protocol and entry.port is not None
        ]
        for endpoint in item.endpoints:
            if not (endpoint.ready or service.publish_not_ready):
                continue
            for number in numbers:
                # Kubernetes' consumers use the first address of an endpoint alone.
                address = endpoint.addresses[0]
                found.setdefault((address, number), Backend(address, number, endpoint.pod))
    return tuple(found[key] for key in sorted(found, key=lambda key: (key[0].version, key[0].packed, key[1])))
