"""Valid documents with a few words changed, for the lab's tests."""

from __future__ import annotations

from typing import Any


def pod(name: str = "web", namespace: str = "shop", **changes: Any) -> dict[str, Any]:
    """`changes`: labels, spec, status, uid, containers."""
    containers = changes.get("containers", [{"name": "main", "ports": [{"name": "http", "containerPort": 80}]}])
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": changes.get("labels", {"app": name})}
    metadata["uid"] = changes.get("uid", f"uid-{name}")
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": containers, **changes.get("spec", {})},
    }
    if "status" in changes:
        document["status"] = changes["status"]
    return document


def placed(name: str, *ips: str, node: str = "n1", **changes: Any) -> dict[str, Any]:
    """A pod that has its node and addresses."""
    status = {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    return pod(name, spec={"nodeName": node}, status=status, **changes)


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    given = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": given}


def deployment(name: str = "web", *, replicas: int = 2, image: str = "web:1") -> dict[str, Any]:
    container = {"name": "main", "image": image, "ports": [{"name": "http", "containerPort": 80}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }
