"""From one plain document to one frozen object: which kinds there are, and how each is read.

Documents come from `mesh.objects.documents` (text that somebody wrote) or straight from a store that kept `.document`;
both go through `from_document`, so what was admitted once is read again by the same rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mesh.objects.core import (
    NAMESPACE_NAME_LABEL,
    Namespace,
    Node,
    Pod,
    ServiceAccount,
    read_namespace,
    read_node,
    read_pod,
    read_service_account,
)
from mesh.objects.errors import ObjectsRefused
from mesh.objects.meshconfig import MeshConfig, read_mesh_config
from mesh.objects.meshpolicy import MeshPolicy, read_mesh_policy
from mesh.objects.metadata import DEFAULT_NAMESPACE, Head, Metadata, read_metadata
from mesh.objects.names import dns_label, dns_subdomain
from mesh.objects.networkpolicy import NetworkPolicy, read_network_policy
from mesh.objects.otherkinds import refusal
from mesh.objects.reader import Check, LineOf, Reader, Report, type_name
from mesh.objects.services import EndpointSlice, Service, read_endpoint_slice, read_service
from mesh.objects.workloads import Deployment, read_deployment

Object = (
    Namespace
    | Node
    | Pod
    | Deployment
    | ServiceAccount
    | Service
    | EndpointSlice
    | NetworkPolicy
    | MeshPolicy
    | MeshConfig
)

MAX_DEPTH = 64
MAX_NUMBER = 1 << 63


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind is read."""

    api_version: str
    namespaced: bool
    name: Check
    read: Callable[[Reader, Head], Object]


KINDS: Mapping[str, Kind] = {
    "Namespace": Kind("v1", False, dns_label, read_namespace),
    "Node": Kind("v1", False, dns_subdomain, read_node),
    "Pod": Kind("v1", True, dns_subdomain, read_pod),
    "ServiceAccount": Kind("v1", True, dns_subdomain, read_service_account),
    "Service": Kind("v1", True, dns_label, read_service),
    "Deployment": Kind("apps/v1", True, dns_subdomain, read_deployment),
    "EndpointSlice": Kind("discovery.k8s.io/v1", True, dns_subdomain, read_endpoint_slice),
    "NetworkPolicy": Kind("networking.k8s.io/v1", True, dns_subdomain, read_network_policy),
    "MeshPolicy": Kind("weft.dev/v1alpha1", True, dns_subdomain, read_mesh_policy),
    "MeshConfig": Kind("weft.dev/v1alpha1", False, dns_subdomain, read_mesh_config),
}


def from_document(document: object, file: str = "", line_of: LineOf | None = None) -> Object:
    """The object in a plain document (as `.document` of an object, or as JSON). Raises ObjectsRefused."""
    report = Report(file, _label(document), line_of)
    found = _read(document, report)
    if found is None or report.problems:
        raise ObjectsRefused(report.problems)
    return found


def _read(document: object, report: Report) -> Object | None:
    if not isinstance(document, dict):
        report.add((), f"expected an object with apiVersion and kind, found {type_name(document)}")
        return None
    fault = _unplain(document)
    if fault:
        report.add((), fault)
        return None
    root = Reader(document, (), report)
    kind = _kind(root)
    if kind is None:
        return None
    root.require("metadata")
    metadata = read_metadata(root.inside("metadata"), namespaced=kind.namespaced, check=kind.name)
    plain = _without_nulls(document)
    if kind.namespaced and isinstance(plain.get("metadata"), dict):
        plain["metadata"].setdefault("namespace", DEFAULT_NAMESPACE)
    if document.get("kind") == "Namespace":
        metadata = _with_name_label(metadata, plain)
    found = kind.read(root, Head(metadata=metadata, document=plain, file=report.file))
    root.close()
    return found


def _kind(root: Reader) -> Kind | None:
    name, version = root.text("kind"), root.text("apiVersion")
    if not (root.require("kind") and root.require("apiVersion")):
        return None
    kind = KINDS.get(name)
    if kind is None:
        root.refuse(*refusal(name, version, KINDS))
        return None
    if version != kind.api_version:
        root.refuse("apiVersion", f"{version[:80]!r}: {name} is read as {kind.api_version}")
        return None
    return kind


def _with_name_label(metadata: Metadata, plain: dict[str, Any]) -> Metadata:
    """Kubernetes gives every namespace its name as a label; here it does not depend on who wrote the manifest."""
    labels = {NAMESPACE_NAME_LABEL: metadata.name, **dict(metadata.labels)}
    inner = plain.get("metadata")
    if isinstance(inner, dict) and isinstance(inner.setdefault("labels", {}), dict):
        inner["labels"].setdefault(NAMESPACE_NAME_LABEL, metadata.name)
    return replace(metadata, labels=tuple(sorted(labels.items())))


def _label(document: object) -> str:
    """`Kind ns/name` for messages, from a document that may be anything."""
    if not isinstance(document, dict):
        return ""
    kind, metadata = document.get("kind"), document.get("metadata")
    name = namespace = None
    if isinstance(metadata, dict):
        name, namespace = metadata.get("name"), metadata.get("namespace")
    words = kind[:80] if isinstance(kind, str) else "object"
    if not isinstance(name, str):
        return f"{words} without a name"
    known = KINDS.get(words)
    place = namespace if isinstance(namespace, str) else DEFAULT_NAMESPACE if known and known.namespaced else ""
    return f"{words} {place[:80]}/{name[:253]}" if place else f"{words} {name[:253]}"


def _unplain(document: object) -> str | None:
    """Why a document is not plain JSON of bearable depth; None where it is."""
    level = [document]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            fault = _unplain_scalar(value)
            if fault:
                return fault
            if isinstance(value, dict):
                below += [*value, *value.values()]
                if not all(isinstance(key, str) for key in value):
                    return "keys of mappings must be text"
            elif isinstance(value, list):
                below += value
        if not below:
            return None
        level = below
    return f"nested deeper than {MAX_DEPTH} levels"


def _unplain_scalar(value: object) -> str | None:
    match value:
        case str():
            if not value.isascii() and any(0xD800 <= ord(char) <= 0xDFFF for char in value):
                return "text that is not valid Unicode"
        case bool() | None | dict() | list():
            pass
        case int():
            if not -MAX_NUMBER <= value < MAX_NUMBER:
                return "a number beyond 64 bits"
        case float():
            if not math.isfinite(value):
                return "a number that is not finite"
        case _:
            return f"a value of type {type(value).__name__}"
    return None


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """A copy, as `kubectl get -o json` would show it: a null field is a missing field."""
    return {key: _copied(item) for key, item in value.items() if item is not None}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_nulls(value)
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
