"""What every object has: its metadata, its document, and the file that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mesh.objects.names import dns_label, label_key, label_value
from mesh.objects.reader import Check, Reader

DEFAULT_NAMESPACE = "default"
MAX_ANNOTATION_BYTES = 256 * 1024

# Written by API servers and tools; nothing here reads them.
_WRITTEN_BY_OTHERS = (
    "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "generateName", "generation",
    "managedFields", "ownerReferences", "resourceVersion", "selfLink",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    name: str
    namespace: str = ""
    """Empty for kinds of the cluster."""
    uid: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """Sorted by key."""
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeObject:
    """An object that passed the door. Two are equal when their documents are."""

    kind: ClassVar[str] = ""

    metadata: Metadata
    document: Mapping[str, Any] = field(hash=False, repr=False)
    """The validated manifest as plain JSON values, as `get -o json` shows it. Nobody changes it."""
    file: str = field(default="", compare=False, repr=False)

    @property
    def key(self) -> str:
        """`namespace/name`, or `name` for kinds of the cluster."""
        return f"{self.metadata.namespace}/{self.metadata.name}" if self.metadata.namespace else self.metadata.name

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a kind's reader gets besides its fields."""

    metadata: Metadata
    document: Mapping[str, Any]
    file: str


def read_metadata(reader: Reader, *, namespaced: bool, check: Check) -> Metadata:
    """Read `metadata`; `check` is the kind's rule for names."""
    name = reader.text("name", check=check) if reader.require("name") else ""
    namespace = reader.text("namespace", check=dns_label)
    if not namespaced and namespace:
        reader.refuse("namespace", "this kind belongs to the cluster, not to a namespace")
    annotations = reader.pairs("annotations", label_key, None)
    if sum(len(key) + len(value) for key, value in annotations) > MAX_ANNOTATION_BYTES:
        reader.refuse("annotations", f"more than {MAX_ANNOTATION_BYTES} bytes")
    metadata = Metadata(
        name=name,
        namespace=(namespace or DEFAULT_NAMESPACE) if namespaced else "",
        uid=reader.text("uid"),
        labels=reader.pairs("labels", label_key, label_value),
        annotations=annotations,
    )
    reader.skip(*_WRITTEN_BY_OTHERS)
    reader.close()
    return metadata
