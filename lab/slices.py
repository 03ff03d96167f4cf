"""EndpointSlices from Services' selectors and pods' readiness. Pure; the supervisor writes what comes out.

One slice per Service and address family, and one more for each set of port numbers where a named target port means
different numbers on different pods. Services without a selector are left alone: their slices are someone else's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from lab.podspec import Document, given_addresses, key_of

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"
OWNER = "weft-lab"

_Ports = tuple[tuple[str, str, int], ...]


def endpoint_slices(
    services: Iterable[Document], pods: Iterable[Document], ready: Collection[str]
) -> dict[str, dict[str, Any]]:
    """All slices that must exist, by key."""
    by_namespace: dict[str, list[Document]] = {}
    for pod in pods:
        by_namespace.setdefault(pod["metadata"].get("namespace", "default"), []).append(pod)
    found: dict[str, dict[str, Any]] = {}
    for service in services:
        selector = (service.get("spec") or {}).get("selector")
        if not selector or service["spec"].get("type") == "ExternalName":
            continue
        candidates = by_namespace.get(service["metadata"].get("namespace", "default"), [])
        chosen = sorted((pod for pod in candidates if _selects(selector, pod)), key=key_of)
        for document in _slices_of(service, chosen, ready):
            found[key_of(document)] = document
    return found


def _selects(selector: Mapping[str, str], pod: Document) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _slices_of(service: Document, pods: Iterable[Document], ready: Collection[str]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, _Ports], list[dict[str, Any]]] = {}
    for pod in pods:
        ports = target_ports(service, pod)
        phase = (pod.get("status") or {}).get("phase")
        if phase in ("Succeeded", "Failed") or not ports and service["spec"].get("ports"):
            continue
        for address in given_addresses(pod):
            family = "IPv4" if address.version == 4 else "IPv6"
            groups.setdefault((family, ports), []).append(_endpoint(pod, str(address), ready))
    documents = []
    metadata = service["metadata"]
    seen: dict[str, int] = {}
    for (family, ports), endpoints in sorted(groups.items(), key=lambda item: item[0]):
        number = seen[family] = seen.get(family, 0) + 1
        suffix = family.lower() if number == 1 else f"{family.lower()}-{number}"
        documents.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{metadata['name']}-{suffix}",
                    "namespace": metadata.get("namespace", "default"),
                    "labels": {SERVICE_NAME: metadata["name"], MANAGED_BY: OWNER},
                },
                "addressType": family,
                "ports": [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in ports],
                "endpoints": endpoints,
            }
        )
    return documents


def _endpoint(pod: Document, address: str, ready: Collection[str]) -> dict[str, Any]:
    metadata = pod["metadata"]
    namespace = metadata.get("namespace", "default")
    is_ready = key_of(pod) in ready
    endpoint: dict[str, Any] = {
        "addresses": [address],
        "conditions": {"ready": is_ready, "serving": is_ready, "terminating": False},
        "targetRef": {"kind": "Pod", "namespace": namespace, "name": metadata["name"]},
    }
    node = (pod.get("spec") or {}).get("nodeName")
    if node:
        endpoint["nodeName"] = node
    return endpoint


def target_ports(service: Document, pod: Document) -> _Ports:
    """The Service's ports as numbers of this pod; a name that the pod does not have is left out."""
    found: list[tuple[str, str, int]] = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        target = port.get("targetPort", port["port"])
        number = target if isinstance(target, int) else _named(pod, target, protocol)
        if number is not None:
            found.append((port.get("name", ""), protocol, number))
    return tuple(found)


def _named(pod: Document, name: str, protocol: str) -> int | None:
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return int(name) if name.isdigit() else None
