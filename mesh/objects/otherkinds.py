"""Kinds that weft does not read: which are passed by, which are refused, and in which words. Pure.

Folders of manifests hold more than a mesh needs. Kinds of Kubernetes that neither run pods nor say who may talk are
passed by with one warning each. They are not stored, and nothing of their content is shown: a Secret is among them.
Kinds that would run pods, or that someone trusts to keep others out, are refused: passing those by would be a lie.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from mesh.objects.errors import Problem
from mesh.objects.reader import NOT_YET

_GATEWAY = "gateway.networking.k8s.io"
_KINDS_BY_GROUP = {
    "": "ConfigMap Secret PersistentVolume PersistentVolumeClaim ResourceQuota LimitRange Event PodTemplate",
    "admissionregistration.k8s.io": "MutatingWebhookConfiguration ValidatingWebhookConfiguration "
    "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding",
    "apiextensions.k8s.io": "CustomResourceDefinition",
    "apiregistration.k8s.io": "APIService",
    "apps": "ControllerRevision",
    "autoscaling": "HorizontalPodAutoscaler",
    "certificates.k8s.io": "CertificateSigningRequest",
    "coordination.k8s.io": "Lease",
    "events.k8s.io": "Event",
    "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
    _GATEWAY: "GatewayClass Gateway ReferenceGrant BackendTLSPolicy HTTPRoute GRPCRoute TLSRoute TCPRoute UDPRoute",
    "networking.k8s.io": "Ingress IngressClass",
    "node.k8s.io": "RuntimeClass",
    "policy": "PodDisruptionBudget",
    "rbac.authorization.k8s.io": "Role RoleBinding ClusterRole ClusterRoleBinding",
    "scheduling.k8s.io": "PriorityClass",
    "storage.k8s.io": "StorageClass VolumeAttachment CSIDriver CSINode CSIStorageCapacity",
}
_ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"})
"""With a Gateway above they are about traffic from outside; with a Service above they would be about the mesh."""

_RUN_PODS = ("StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob")
_KEPT_FOR_LATER = ("TrafficPolicy",)
_POLICIES_OF_OTHERS = (
    "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy",
    "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "GlobalNetworkPolicy",
    "AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "Sidecar",
    "ServerAuthorization", "ServiceIntentions",
)  # fmt: skip


def _groups() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for group, kinds in _KINDS_BY_GROUP.items():
        for kind in kinds.split():
            found[kind] = (*found.get(kind, ()), group)
    return found


PASSED_BY = _groups()
"""Kind -> the API groups that it is known in."""

_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(_RUN_PODS, f"runs pods and is {NOT_YET}; a Deployment or Pods are"),
    **dict.fromkeys(_KEPT_FOR_LATER, f"is {NOT_YET}"),
    **dict.fromkeys(_POLICIES_OF_OTHERS, "is not a kind of weft; write a MeshPolicy or a NetworkPolicy"),
    **dict.fromkeys(_ROUTES, f"is {NOT_YET} with a Service as its parent"),
    "Endpoints": f"is {NOT_YET}; write an EndpointSlice",
}
_VERSION = re.compile(r"v[0-9]{1,3}((alpha|beta)[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class PassedBy:
    """One object that nothing of ours reads. It has no name here: only its number is told."""

    file: str
    kind: str


def known(kind: str) -> bool:
    """Whether this page has a word on it."""
    return kind in PASSED_BY or kind in _REFUSED


def passes_by(document: object) -> str | None:
    """The kind, if the document is of one that weft has no use for."""
    if not isinstance(document, dict):
        return None
    kind, version = document.get("kind"), document.get("apiVersion")
    if not (isinstance(kind, str) and isinstance(version, str)) or not _is_of(kind, version):
        return None
    return None if kind in _ROUTES and not _is_of_gateways(document) else kind


def refusal(kind: str, version: str, read: Collection[str]) -> tuple[str, str]:
    """(field, reason) for a kind that is neither read nor passed by; `read` are those that are read."""
    if kind in PASSED_BY and not _is_of(kind, version):
        groups = " or ".join(f"{group}/..." if group else "v1" for group in PASSED_BY[kind])
        return "apiVersion", f"{version[:80]!r}: {kind} is known as {groups}"
    if kind in _REFUSED:
        return "kind", f"{kind} {_REFUSED[kind]}"
    near = get_close_matches(kind, [*read, *PASSED_BY, *_REFUSED], n=1, cutoff=0.75)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(read)}"
    return "kind", f"{kind[:80]!r} is not read; {hint}"


def warnings(found: Iterable[PassedBy]) -> Iterator[Problem]:
    """One for each kind, at the file, or the folder that holds all of its files."""
    files: dict[str, list[str]] = defaultdict(list)
    for item in found:
        files[item.kind].append(item.file)
    for kind, places in sorted(files.items()):
        count = f"{len(places)} object" + ("s" if len(places) > 1 else "")
        yield Problem(_place(places), kind, "", f"passed by, weft has no use for it ({count})")


def _is_of(kind: str, version: str) -> bool:
    group, slash, bare = version.rpartition("/")
    return (group if slash else "") in PASSED_BY.get(kind, ()) and _VERSION.fullmatch(bare) is not None


def _is_of_gateways(route: Mapping[str, object]) -> bool:
    spec = route.get("spec")
    parents = spec.get("parentRefs") if isinstance(spec, dict) else None
    return isinstance(parents, list) and all(
        isinstance(parent, dict)
        and parent.get("kind", "Gateway") == "Gateway"
        and parent.get("group", _GATEWAY) == _GATEWAY
        for parent in parents
    )


def _place(files: Collection[str]) -> str:
    try:
        return posixpath.commonpath(files)
    except ValueError:  # some from the root, some from here
        return ""
