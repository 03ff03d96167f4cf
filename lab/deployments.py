"""Deployments expanded to Pods, and replaced when their template changes. Pure.

A pod is NAME-HASH-INDEX: HASH is of the template, so the names are the same at every run. The ReplicaSet between is
left out: the Deployment owns its pods. A new template's pods come first and the old ones go when those are ready.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from lab.podspec import Document, key_of
from mesh.objects.kinds import from_document
from mesh.objects.workloads import Deployment

HASH_LABEL = "pod-template-hash"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own for generated names: no vowels, so no words."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What must be written and removed for the Deployments to hold."""

    create: tuple[dict[str, Any], ...]
    delete: tuple[str, ...]
    """Keys of pods."""


def template_hash(template: Document) -> str:
    number = int.from_bytes(sha256(json.dumps(template, sort_keys=True).encode()).digest()[:6], "big")
    letters = []
    for _ in range(6):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def owner_of(pod: Document) -> str | None:
    """Name of the Deployment that owns the pod."""
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("kind") == "Deployment":
            return str(owner.get("name"))
    return None


def expand(deployments: Iterable[Document], pods: Mapping[str, Document], ready: Collection[str]) -> Expansion:
    """Compare what Deployments ask for with the pods that there are; `ready` holds keys of ready pods."""
    owned: dict[str, set[str]] = {}
    for key, pod in pods.items():
        owner = owner_of(pod)
        if owner is not None:
            owned.setdefault(f"{pod['metadata'].get('namespace', 'default')}/{owner}", set()).add(key)
    create: list[dict[str, Any]] = []
    delete: list[str] = []
    for deployment in deployments:
        wanted = {key_of(pod): pod for pod in _pods_of(deployment)}
        present = owned.pop(key_of(deployment), set())
        create += [pod for key, pod in wanted.items() if key not in present]
        surplus = present - wanted.keys()
        of_old_template = {key for key in surplus if not _same_template(pods[key], wanted.values())}
        rolled = all(key in ready for key in wanted)
        delete += [key for key in sorted(surplus) if rolled or key not in of_old_template]
    for orphans in owned.values():
        delete += sorted(orphans)
    return Expansion(tuple(create), tuple(delete))


def _same_template(pod: Document, wanted: Iterable[Document]) -> bool:
    own = (pod["metadata"].get("labels") or {}).get(HASH_LABEL)
    return any(other["metadata"]["labels"][HASH_LABEL] == own for other in wanted)


def _pods_of(deployment: Document) -> list[dict[str, Any]]:
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = spec["template"]
    digest = template_hash(template)
    inner = template.get("metadata") or {}
    labels = {**(inner.get("labels") or {}), HASH_LABEL: digest}
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "controller": True,
    }
    read = from_document(deployment)
    assert isinstance(read, Deployment)
    pods = []
    for index in range(read.replicas):
        pod_metadata: dict[str, Any] = {
            "name": f"{metadata['name']}-{digest}-{index}",
            "namespace": metadata.get("namespace", "default"),
            "labels": labels,
            "ownerReferences": [owner],
        }
        if inner.get("annotations"):
            pod_metadata["annotations"] = inner["annotations"]
        pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": pod_metadata, "spec": dict(template["spec"])})
    return pods
