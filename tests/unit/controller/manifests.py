"""Small manifests and parsed objects for the controller's tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from controller.admission import Rules, admit
from controller.intent import USER, Entry, Intent
from mesh.model import Revision
from mesh.objects.documents import parse
from mesh.objects.kinds import Object

SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.9.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
spec: {podCIDRs: [10.244.2.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.9.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pay, namespace: shop, labels: {app: pay}}
spec:
  nodeName: node-1
  containers: [{name: c, image: x, ports: [{containerPort: 8080, name: web}]}]
status: {podIPs: [{ip: 10.244.1.5}], phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec: {nodeName: node-2, containers: [{name: c, image: x}]}
status: {podIPs: [{ip: 10.244.2.6}], phase: Running}
---
apiVersion: v1
kind: Service
metadata: {name: payments, namespace: shop}
spec: {clusterIP: 10.96.0.80, selector: {app: pay}, ports: [{port: 80, targetPort: web}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: payments-1, namespace: shop, labels: {kubernetes.io/service-name: payments}}
addressType: IPv4
endpoints: [{addresses: [10.244.1.5], conditions: {ready: true}, targetRef: {kind: Pod, name: pay}}]
ports: [{port: 8080, protocol: TCP}]
"""

POLICY = """
apiVersion: weft.dev/v1alpha1
kind: MeshPolicy
metadata: {name: pay, namespace: shop}
spec:
  podSelector: {matchLabels: {app: pay}}
  ingress:
  - name: read-only
    action: Allow
    from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{port: 8080}]
    http: [{methods: [GET]}]
"""


def namespace(name: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def pod(name: str, *, uid: str = "", labels: dict[str, str] | None = None, **parts: Any) -> str:
    metadata: dict[str, Any] = {"name": name, "namespace": "default", "labels": labels or {}}
    if uid:
        metadata["uid"] = uid
    spec = {"containers": [{"name": "c", "image": "x"}], **parts.pop("spec", {})}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, **parts})


def service(name: str, **spec: Any) -> str:
    spec = {"ports": [{"port": 80}], **spec}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
    )


def rules() -> Rules:
    from ipaddress import ip_network

    numbers = iter(range(1000))
    return Rules(
        service_cidrs=(ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112")),
        new_uid=lambda: f"uid-{next(numbers)}",
        now="2026-01-01T00:00:00Z",
    )


def objects(*texts: str) -> list[Object]:
    return [item for text in texts for item in parse(text, "test.yaml")]


def admitted(intent: Intent, texts: Sequence[str], *, source: str = USER) -> Intent:
    """The intent after the texts were taken; problems fail the test."""
    outcome = admit(intent, objects(*texts), rules(), source=source)
    assert outcome.problems == []
    revision = Revision(intent.revision + 1)
    put = [
        Entry(object=entry.object, source=entry.source, status_by=entry.status_by, revision=revision)
        for entry in outcome.put
    ]
    return intent.changed(revision, put, outcome.remove)


def intent_of(*texts: str) -> Intent:
    return admitted(Intent(), texts)
