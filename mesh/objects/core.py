"""Namespace, Node, Pod and ServiceAccount (`v1`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mesh.model import Address, Prefix
from mesh.objects.metadata import Head, KubeObject
from mesh.objects.names import address, cidr, ip, prefix, usable_ip
from mesh.objects.podspec import PodSpec, read_pod_spec
from mesh.objects.reader import Reader

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
ENROLMENT = "weft.dev/mesh"
"""`enabled` or `disabled`: a label of a Namespace, a label or an annotation of a Pod."""
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace(KubeObject):
    """Its labels always hold `kubernetes.io/metadata.name`."""

    kind: ClassVar[str] = "Namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount(KubeObject):
    kind: ClassVar[str] = "ServiceAccount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(KubeObject):
    kind: ClassVar[str] = "Node"
    pod_cidrs: tuple[Prefix, ...] = ()
    addresses: tuple[Address, ...] = ()
    """The internal ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod(KubeObject):
    kind: ClassVar[str] = "Pod"
    spec: PodSpec
    ips: tuple[Address, ...] = ()
    phase: str = ""
    ready: bool = False

    @property
    def finished(self) -> bool:
        """It runs no more, and its addresses may belong to another pod already."""
        return self.phase in ("Succeeded", "Failed")


def read_namespace(root: Reader, head: Head) -> Namespace:
    given = dict(head.metadata.labels).get(NAMESPACE_NAME_LABEL, head.metadata.name)
    if given != head.metadata.name:
        root.inside("metadata").inside("labels").refuse(NAMESPACE_NAME_LABEL, f"must be {head.metadata.name!r}")
    root.skip("spec", "status")
    return Namespace(metadata=head.metadata, document=head.document, file=head.file)


def read_service_account(root: Reader, head: Head) -> ServiceAccount:
    root.skip("secrets", "imagePullSecrets", "automountServiceAccountToken")
    return ServiceAccount(metadata=head.metadata, document=head.document, file=head.file)


def read_node(root: Reader, head: Head) -> Node:
    spec = root.inside("spec")
    ranges = spec.texts("podCIDRs", cidr)
    single = spec.text("podCIDR", check=cidr)
    if single and ranges and ranges[0] != single:
        spec.refuse("podCIDR", "must be the first of podCIDRs")
    spec.skip("configSource", "externalID", "providerID", "taints", "unschedulable")
    spec.close()
    addresses = []
    for item in root.inside("status").each("addresses"):
        kind, text = item.text("type"), item.text("address")
        found = address(text)
        if kind == "InternalIP" and found is None:
            item.refuse("address", ip(text) or "is no address")
        elif kind == "InternalIP" and found is not None:
            addresses.append(found)
        item.close()
    return Node(
        metadata=head.metadata,
        document=head.document,
        file=head.file,
        pod_cidrs=tuple(block for text in (ranges or ((single,) if single else ())) if (block := prefix(text))),
        addresses=tuple(dict.fromkeys(addresses)),
    )


def read_pod(root: Reader, head: Head) -> Pod:
    root.require("spec")
    spec = read_pod_spec(root.inside("spec"))
    status = root.inside("status")  # Written by kubelets; fields that we do not read are left alone.
    conditions = [
        (item.text("type"), item.choice("status", ("True", "False", "Unknown"))) for item in status.each("conditions")
    ]
    return Pod(
        metadata=head.metadata,
        document=head.document,
        file=head.file,
        spec=spec,
        ips=_read_ips(status),
        phase=status.choice("phase", PHASES),
        ready=("Ready", "True") in conditions,
    )


def _read_ips(status: Reader) -> tuple[Address, ...]:
    def check(text: str) -> str | None:
        return usable_ip(text) if text else None

    first = status.text("podIP", check=check)
    listed = [item.text("ip", check=check) for item in status.each("podIPs")]
    if first and listed and first != listed[0]:
        status.refuse("podIP", "must be the first of podIPs")
    found = [known for text in (listed or [first]) if (known := address(text)) is not None]
    if any(sum(one.version == version for one in found) > 1 for version in (4, 6)):
        status.refuse("podIPs", "at most one address of each family")
    return tuple(found)
