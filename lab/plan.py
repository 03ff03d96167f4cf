"""What the lab must write and run so that the objects hold: scheduler, kubelet's status, cluster controllers. Pure.

Level-triggered: called with all objects and all facts whenever anything changed; what comes out is compared with
nothing but the objects themselves, so a lost step is taken at the next call. A pod keeps the node and the addresses
that it once got, even where a later `apply` wrote it without them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lab.addressing import NoAddressLeft, NodeAddresses, allocate
from lab.deployments import expand, owner_of
from lab.podspec import Document, PodRun, key_of, parse_pod
from lab.slices import MANAGED_BY, OWNER, endpoint_slices
from mesh.model import Address

KINDS = ("Namespace", "Node", "Pod", "Deployment", "Service", "EndpointSlice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a pod that the lab runs."""

    phase: str = "Pending"
    ready: bool = False
    restarts: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    node: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The outcome."""

    write: tuple[dict[str, Any], ...] = ()
    delete: tuple[tuple[str, str, str], ...] = ()
    """(kind, namespace, name)."""
    run: Mapping[str, PodRun] = field(default_factory=dict)
    """Every pod that should run, by key."""
    problems: tuple[str, ...] = ()


Objects = Mapping[str, Mapping[str, Document]]
"""Kind -> key -> document."""


def plan(
    objects: Objects,
    facts: Mapping[str, Facts],
    nodes: Mapping[str, NodeAddresses],
    placed: Mapping[str, Placement],
) -> Plan:
    """`placed`: where pods run already, by key."""
    pods = objects.get("Pod", {})
    ready = {key for key in pods if key in facts and facts[key].ready}
    expansion = expand(objects.get("Deployment", {}).values(), pods, ready)
    delete = [("Pod", *_split(key)) for key in expansion.delete]
    leaving = set(expansion.delete)
    wanted: dict[str, Document] = {key: pod for key, pod in pods.items() if key not in leaving}
    wanted.update((key_of(pod), pod) for pod in expansion.create)

    specs = {key: parse_pod(document) for key, document in wanted.items()}
    scheduler = _Scheduler(nodes, specs, placed)
    write: list[dict[str, Any]] = []
    run: dict[str, PodRun] = {}
    finished: dict[str, Document] = {}
    problems: list[str] = []
    for key, document in sorted(wanted.items()):
        spec = specs[key]
        try:
            placement = scheduler.place(spec)
        except NoAddressLeft as error:
            problems.append(f"pod {key}: {error}")
            continue
        if placement is None:
            continue
        if key in placed or (spec.node and spec.addresses):
            run[key] = replace(spec, node=placement.node, addresses=placement.addresses)
        final = _with_status(document, placement, facts.get(key, Facts()), nodes[placement.node])
        finished[key] = final
        if final != pods.get(key):
            write.append(final)
    write += _nodes(objects.get("Node", {}), nodes)
    write += _deployments(objects.get("Deployment", {}), finished, ready)
    slices = endpoint_slices(objects.get("Service", {}).values(), finished.values(), ready)
    present = objects.get("EndpointSlice", {})
    write += [document for key, document in slices.items() if not _same_slice(document, present.get(key))]
    delete += [
        ("EndpointSlice", *_split(key))
        for key, document in present.items()
        if key not in slices and (document["metadata"].get("labels") or {}).get(MANAGED_BY) == OWNER
    ]
    return Plan(write=tuple(write), delete=tuple(delete), run=run, problems=tuple(problems))


def _split(key: str) -> tuple[str, str]:
    namespace, _, name = key.partition("/")
    return namespace, name


class _Scheduler:
    """Least pods first, then by name; addresses that nobody has or was given."""

    def __init__(
        self, nodes: Mapping[str, NodeAddresses], specs: Mapping[str, PodRun], placed: Mapping[str, Placement]
    ) -> None:
        self._nodes, self._placed = nodes, placed
        self._load = dict.fromkeys(nodes, 0)
        self._taken: set[Address] = {address for node in nodes.values() for address in node.both}
        for key, spec in specs.items():
            known = placed.get(key)
            self._taken.update(spec.addresses or (known.addresses if known else ()))
            node = spec.node or (known.node if known else "")
            if node in self._load:
                self._load[node] += 1

    def place(self, spec: PodRun) -> Placement | None:
        """None: its node is not there (yet)."""
        known = self._placed.get(spec.key)
        node = spec.node or (known.node if known else "")
        if not node and self._nodes:
            node = min(self._load, key=lambda name: (self._load[name], name))
            self._load[node] += 1
        if node not in self._nodes:
            return None
        if spec.host_network:
            return Placement(node, self._nodes[node].both)
        addresses = spec.addresses or (known.addresses if known and known.node == node else ())
        if not addresses:
            addresses = allocate(self._nodes[node].pod_cidrs, self._taken)
            self._taken.update(addresses)
        return Placement(node, addresses)


def _with_status(document: Document, placement: Placement, facts: Facts, node: NodeAddresses) -> dict[str, Any]:
    spec = {**(document.get("spec") or {}), "nodeName": placement.node}
    status = dict(document.get("status") or {})
    others = [item for item in status.get("conditions") or () if item.get("type") != "Ready"]
    condition = {"type": "Ready", "status": "True" if facts.ready else "False"}
    if facts.message:
        condition["message"] = facts.message
    status.update(
        phase=facts.phase,
        hostIP=str(node.v4),
        podIP=str(placement.addresses[0]),
        podIPs=[{"ip": str(address)} for address in placement.addresses],
        conditions=[*others, condition],
        containerStatuses=[
            {"name": item.get("name", ""), "ready": facts.ready, "restartCount": facts.restarts}
            for item in spec.get("containers") or ()
        ],
    )
    return {**document, "spec": spec, "status": status}


def _nodes(documents: Mapping[str, Document], nodes: Mapping[str, NodeAddresses]) -> Iterable[dict[str, Any]]:
    for name, document in sorted(documents.items()):
        if name not in nodes:
            continue
        here = nodes[name]
        cidrs = [str(cidr) for cidr in here.pod_cidrs]
        spec = {**(document.get("spec") or {}), "podCIDR": cidrs[0], "podCIDRs": cidrs}
        addresses = [{"type": "InternalIP", "address": str(address)} for address in here.both]
        status = {**(document.get("status") or {}), "addresses": [*addresses, {"type": "Hostname", "address": name}]}
        final = {**document, "spec": spec, "status": status}
        if final != document:
            yield final


def _deployments(
    documents: Mapping[str, Document], pods: Mapping[str, Document], ready: Collection[str]
) -> Iterable[dict[str, Any]]:
    """Deployments whose status is not that of their pods."""
    owned: dict[str, list[str]] = {}
    for key, pod in pods.items():
        owned.setdefault(f"{_split(key)[0]}/{owner_of(pod)}", []).append(key)
    for key, document in sorted(documents.items()):
        here = owned.get(key, [])
        able = sum(pod in ready for pod in here)
        status = {"replicas": len(here), "readyReplicas": able, "availableReplicas": able}
        if document.get("status") != status:
            yield {**document, "status": status}


def _same_slice(wanted: Document, present: Document | None) -> bool:
    parts = ("addressType", "ports", "endpoints")
    return present is not None and all(wanted[part] == present.get(part) for part in parts)
