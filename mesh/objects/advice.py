"""What an object says that is taken otherwise than its author may think, or that no policy can hold. Pure.

Warnings, not refusals: Kubernetes takes such objects, and so do we. Each is read from the document as it was written,
since the parsed object holds only what is acted upon. `references.check` asks for every object of the intent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mesh.objects.core import ENROLMENT, Namespace, Pod
from mesh.objects.errors import Problem
from mesh.objects.kinds import Object
from mesh.objects.meshpolicy import MeshPolicy
from mesh.objects.names import cidr, prefix
from mesh.objects.networkpolicy import NetworkPolicy
from mesh.objects.services import FROM_OUTSIDE, Service
from mesh.objects.workloads import Deployment

_OURS = "weft.dev/"
CAPABILITIES_OVER_THE_NODE = frozenset({"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "BPF"})
_OVER_THE_NODE = "whoever is in it may change what this node enforces; treat it as part of the node"


def advice(item: Object) -> Iterator[Problem]:
    yield from _own_words(item, "metadata", _mapping(item.document, "metadata"))
    match item:
        case Pod():
            yield from _pod(item, "spec", _mapping(item.document, "spec"))
        case Deployment():
            yield from _pod(item, "spec.template.spec", _mapping(item.document, "spec", "template", "spec"))
            template = _mapping(item.document, "spec", "template", "metadata")
            yield from _own_words(item, "spec.template.metadata", template)
        case NetworkPolicy() | MeshPolicy():
            yield from _blocks(item)
        case Service():
            if (kind := _mapping(item.document, "spec").get("type")) in FROM_OUTSIDE:
                yield _warning(item, "spec.type", f"{kind} is taken as ClusterIP: reachable inside the cluster only")
            if _mapping(item.document, "spec").get("internalTrafficPolicy") == "Local":
                reason = "Local is not supported yet: backends of every node are used"
                yield _warning(item, "spec.internalTrafficPolicy", reason)


def _own_words(item: Object, field: str, metadata: Mapping[str, Any]) -> Iterator[Problem]:
    """Labels and annotations of ours that change nothing: who wrote one believes that it is in force."""
    for sort in ("labels", "annotations"):
        for key, value in _mapping(metadata, sort).items():
            if not key.startswith(_OURS):
                continue
            where = f"{field}.{sort}[{key}]"
            if key != ENROLMENT:
                yield _warning(item, where, "is not supported yet and changes nothing")
            elif value not in ("enabled", "disabled"):
                yield _warning(item, where, f"{value!r} is neither enabled nor disabled, and changes nothing")
            elif isinstance(item, Namespace) and sort == "annotations":
                yield _warning(item, where, "changes nothing: of a Namespace its label is read")


def _pod(item: Object, where: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    if spec.get("hostNetwork") is True:
        yield _warning(item, f"{where}.hostNetwork", "the pod has the node's identity and is no subject of policy")
    if spec.get("hostPID") is True:
        yield _warning(item, f"{where}.hostPID", _OVER_THE_NODE)
    for kind in ("initContainers", "containers"):
        for number, container in enumerate(_list(spec, kind)):
            context = _mapping(container, "securityContext")
            field = f"{where}.{kind}[{number}].securityContext"
            if context.get("privileged") is True:
                yield _warning(item, f"{field}.privileged", _OVER_THE_NODE)
            given = {str(name).removeprefix("CAP_") for name in _list(_mapping(context, "capabilities"), "add")}
            if found := sorted(given & CAPABILITIES_OVER_THE_NODE):
                yield _warning(item, f"{field}.capabilities.add", f"{', '.join(found)}: {_OVER_THE_NODE}")


def _blocks(policy: NetworkPolicy | MeshPolicy) -> Iterator[Problem]:
    """Blocks with bits behind their prefix: Kubernetes takes them, and means the prefix."""
    for word, side in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(_list(_mapping(policy.document, "spec"), word)):
            for number, peer in enumerate(_list(rule, side)):
                block = _mapping(peer, "ipBlock")
                field = f"spec.{word}[{index}].{side}[{number}].ipBlock"
                written = [(f"{field}.cidr", block.get("cidr"))]
                written += [(f"{field}.except[{place}]", text) for place, text in enumerate(_list(block, "except"))]
                for where, text in written:
                    if isinstance(text, str) and cidr(text) is not None:
                        yield _warning(policy, where, f"{text} has bits set behind the prefix; it means {prefix(text)}")


def _warning(item: Object, field: str, reason: str) -> Problem:
    return Problem(item.file, str(item), field, reason)


def _mapping(found: object, *names: str) -> Mapping[str, Any]:
    """The mapping there; an empty one where something else is. Fields that are passed by were never checked."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _list(found: object, name: str) -> list[Any]:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, list) else []
