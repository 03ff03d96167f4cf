"""Deployment (`apps/v1`): what a lab expands to pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mesh.objects.metadata import Head, KubeObject
from mesh.objects.names import label_key, label_value
from mesh.objects.podspec import PodSpec, read_pod_spec
from mesh.objects.reader import Reader
from mesh.objects.selectors import LabelSelector, read_selector

MAX_REPLICAS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(KubeObject):
    kind: ClassVar[str] = "Deployment"
    replicas: int = 1
    selector: LabelSelector
    template_labels: tuple[tuple[str, str], ...]
    template: PodSpec


def read_deployment(root: Reader, head: Head) -> Deployment:
    root.require("spec")
    root.skip("status")
    spec = root.inside("spec")
    replicas = spec.number("replicas", 0, MAX_REPLICAS)
    selector = read_selector(spec.inside("selector"))
    template = spec.inside("template")
    metadata = template.inside("metadata")
    labels = metadata.pairs("labels", label_key, label_value)
    metadata.pairs("annotations", label_key, None)
    metadata.skip("creationTimestamp", "name", "namespace", "generateName")
    metadata.close()
    if spec.require("template") and spec.require("selector"):
        if not selector.requirements:
            spec.refuse("selector", "must not be empty")
        elif not selector.matches(dict(labels)):
            spec.refuse("selector", "does not match the labels of template.metadata")
    pod = read_pod_spec(template.inside("spec")) if spec.has("template") else PodSpec()
    template.close()
    spec.skip("minReadySeconds", "paused", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy")
    spec.close()
    return Deployment(
        metadata=head.metadata,
        document=head.document,
        file=head.file,
        replicas=1 if replicas is None else replicas,
        selector=selector,
        template_labels=labels,
        template=pod,
    )
