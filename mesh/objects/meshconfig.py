"""MeshConfig (`weft.dev/v1alpha1`): one per cluster, named `default`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mesh.objects.metadata import Head, KubeObject
from mesh.objects.names import trust_domain
from mesh.objects.reader import Reader

THE_NAME = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig(KubeObject):
    kind: ClassVar[str] = "MeshConfig"
    trust_domain: str = "cluster.local"
    deny_feedback: str = "Reset"
    """Reset or Drop."""


def read_mesh_config(root: Reader, head: Head) -> MeshConfig:
    root.skip("status")
    if head.metadata.name and head.metadata.name != THE_NAME:
        root.inside("metadata").refuse("name", f"there is one MeshConfig, named {THE_NAME!r}")
    spec = root.inside("spec")
    config = MeshConfig(
        metadata=head.metadata,
        document=head.document,
        file=head.file,
        trust_domain=spec.text("trustDomain", default="cluster.local", check=trust_domain),
        deny_feedback=spec.choice("denyFeedback", ("Reset", "Drop"), default="Reset"),
    )
    spec.not_yet("mtls", "certificateLifetime", "limits")
    spec.close()
    return config
