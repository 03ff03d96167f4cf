"""Small valid manifests with one override each, and the door's answer to them in a form that tests compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mesh.objects.errors import ObjectsRefused
from mesh.objects.kinds import Object, from_document
from mesh.policy.cluster import ClusterPolicy, build
from mesh.policy.identities import FreshNumbers

Document = dict[str, Any]


def namespace(name: str = "shop", **labels: str) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def node(name: str = "one", *, ip: str = "172.18.0.2", cidr: str = "10.244.0.0/24") -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDRs": [cidr]},
        "status": {"addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": name}]},
    }


def pod(
    key: str = "shop/payments",
    *ips: str,
    labels: dict[str, str] | None = None,
    ports: Iterable[Document] = (),
    **spec: Any,
) -> Document:
    """`key` is namespace/name."""
    space, name = key.split("/")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": {"app": name} if labels is None else labels},
        "spec": {"containers": [{"name": "main", "image": "app", "ports": list(ports)}], **spec},
        "status": {"podIPs": [{"ip": ip} for ip in ips], "phase": "Running"},
    }


def network_policy(key: str = "shop/policy", **spec: Any) -> Document:
    return _policy("networking.k8s.io/v1", "NetworkPolicy", key, spec)


def mesh_policy(key: str = "shop/policy", **spec: Any) -> Document:
    return _policy("weft.dev/v1alpha1", "MeshPolicy", key, spec)


def _policy(version: str, kind: str, key: str, spec: Document) -> Document:
    space, name = key.split("/")
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": space},
        "spec": {"podSelector": {}, **spec},
    }


def objects(*documents: Document) -> tuple[Object, ...]:
    return tuple(from_document(document) for document in documents)


def cluster(*documents: Document, numbers: FreshNumbers | None = None) -> ClusterPolicy:
    """The policy of a cluster that holds exactly these objects."""
    return build(objects(*documents), numbers or FreshNumbers())


def refusals(document: object) -> list[str]:
    """`field: reason` of every problem; empty where the document is taken."""
    try:
        from_document(document)
    except ObjectsRefused as refused:
        return [f"{problem.field}: {problem.reason}" for problem in refused.problems]
    return []
