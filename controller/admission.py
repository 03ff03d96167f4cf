"""The door: what becomes of objects that someone gives us, before anything is stored.

Pure: the intent and the given objects in, the entries to put and every problem out. It keeps what others own (a status
that the kubelet wrote, a pod's node, a Service's address), fills in what Kubernetes would, and refuses what cannot be.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller import clusterip
from controller.intent import DIRECTORY, KUBELET, USER, Entry, Intent, object_id
from controller.store import ObjectId
from mesh.model import Address, Prefix
from mesh.objects import references
from mesh.objects.core import Node, Pod
from mesh.objects.errors import ObjectsRefused, Problem
from mesh.objects.kinds import Object, from_document
from mesh.objects.services import Service

Document = dict[str, Any]

_LEFT_TO_KUBELET = {"Pod": ("nodeName",), "Node": ("podCIDR", "podCIDRs")}
"""Fields of a spec that a kubelet or scheduler fills in where the author left them open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What admission needs to know besides the objects."""

    service_cidrs: tuple[Prefix, ...]
    new_uid: Callable[[], str]
    now: str
    """RFC 3339, for creationTimestamp."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened, or would happen, to one object: created, configured, unchanged, deleted, or gone.

    Gone: a kubelet spoke of an object that was deleted (or made anew) meanwhile; its word is dropped.
    """

    verb: str
    id: ObjectId


@dataclass(slots=True)
class Admission:
    """The outcome. With any problem, nothing of it may be stored."""

    put: list[Entry] = field(default_factory=list)
    remove: list[ObjectId] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def admit(intent: Intent, given: Sequence[Object], rules: Rules, *, source: str = USER) -> Admission:
    """What applying `given` comes to. `source` is user, directory, or kubelet (who may write status)."""
    outcome = Admission(problems=list(references.duplicates(given)))
    if outcome.problems:
        return outcome
    taken = clusterip.taken_by(
        (entry.object.key, entry.object.cluster_ips)
        for entry in intent.of_kind("Service")
        if isinstance(entry.object, Service)
    )
    # Those who ask for an address come before those who take what is free.
    for item in sorted(given, key=lambda item: not (isinstance(item, Service) and item.cluster_ips)):
        stored = intent.entries.get(object_id(item))
        if source == KUBELET and item.metadata.uid and item.metadata.uid != _uid(stored):
            outcome.changes.append(Change("gone", object_id(item)))
            continue
        try:
            entry = _admitted(item, stored, source, rules, taken)
        except ObjectsRefused as refused:
            outcome.problems += refused.problems
            continue
        same = stored is not None and _same(stored, entry)
        outcome.changes.append(
            Change("created" if stored is None else "unchanged" if same else "configured", object_id(item))
        )
        if not same:
            outcome.put.append(entry)
    order = {object_id(item): i for i, item in enumerate(given)}
    outcome.changes.sort(key=lambda change: order[change.id])
    if not outcome.problems:
        _check_references(intent, outcome, {str(item) for item in given})
    return outcome


def removal(intent: Intent, ids: Iterable[ObjectId]) -> Admission:
    """What deleting `ids` comes to. A Namespace takes along what is in it."""
    doomed = dict.fromkeys(ids)
    namespaces = {name for kind, _, name in doomed if kind == "Namespace"}
    doomed |= dict.fromkeys(key for key in intent.entries if key[1] in namespaces)
    outcome = Admission(remove=list(doomed), changes=[Change("deleted", key) for key in doomed])
    left = [entry.object for key, entry in intent.entries.items() if key not in doomed]
    before = set(references.check(list(intent.objects()))[0])
    # A reference that is cut is told, not refused: Kubernetes deletes it as well.
    outcome.warnings = [problem for problem in references.check(left)[0] if problem not in before]
    return outcome


def _check_references(intent: Intent, outcome: Admission, touched: set[str]) -> None:
    put = {object_id(entry.object) for entry in outcome.put}
    # The new ones last: where two objects collide, the one that came later is the one to blame.
    everything = [entry.object for key, entry in intent.entries.items() if key not in put]
    everything += [entry.object for entry in outcome.put]
    problems, warnings = references.check(everything)
    outcome.problems += [problem for problem in problems if problem.object in touched]
    outcome.warnings += [warning for warning in warnings if warning.object in touched]


def _admitted(item: Object, stored: Entry | None, source: str, rules: Rules, taken: dict[Address, str]) -> Entry:
    """The entry that `item` becomes. Raises ObjectsRefused."""
    if source == USER and stored is not None and stored.source == DIRECTORY:
        raise _refusal(item, "", "is managed by the directory that this controller follows; change its file")
    document = copy.deepcopy(dict(item.document))
    if source == KUBELET and stored is not None and stored.source != KUBELET:
        document = _with_status(copy.deepcopy(dict(stored.object.document)), document, stored.object)
        source, status_by = stored.source, KUBELET
    elif source == KUBELET:
        status_by = KUBELET
    else:
        status_by = _keep_what_others_wrote(item, document, stored)
    _stamp(document, stored, rules)
    if isinstance(item, Pod):
        document["spec"].setdefault("serviceAccountName", "default")
    if isinstance(item, Service):
        _give_addresses(item, document, stored, rules.service_cidrs, taken)
    return Entry(object=from_document(document, item.file), source=source, status_by=status_by)


def _with_status(document: Document, given: Document, stored: Object) -> Document:
    """A kubelet's word on an object of someone else: its status, and what was left open in its spec."""
    if "status" in given:
        document["status"] = given["status"]
    for name in _LEFT_TO_KUBELET.get(stored.kind, ()):
        value = given.get("spec", {}).get(name)
        if value is not None:
            document.setdefault("spec", {}).setdefault(name, value)
    return document


def _keep_what_others_wrote(item: Object, document: Document, stored: Entry | None) -> str:
    """Who wrote the status that `document` carries afterwards."""
    if stored is None:
        return USER
    before = stored.object.document
    if stored.status_by == KUBELET:
        document.pop("status", None)
        if "status" in before:
            document["status"] = copy.deepcopy(before["status"])
    spec = before.get("spec", {})
    if isinstance(item, Pod) and "nodeName" in spec:
        node = document["spec"].setdefault("nodeName", spec["nodeName"])
        if node != spec["nodeName"]:
            raise _refusal(item, "spec.nodeName", f"the pod runs on {spec['nodeName']}; delete it to move it")
    if isinstance(item, Node):
        for name in ("podCIDR", "podCIDRs"):
            if name in spec and not item.pod_cidrs:
                document.setdefault("spec", {})[name] = spec[name]
    return stored.status_by


def _stamp(document: Document, stored: Entry | None, rules: Rules) -> None:
    metadata: Document = document["metadata"]
    metadata.pop("resourceVersion", None)
    if stored is not None:
        before = stored.object.document["metadata"]
        metadata["uid"], metadata["creationTimestamp"] = before["uid"], before["creationTimestamp"]
        return
    metadata["uid"] = metadata.get("uid") or rules.new_uid()
    metadata["creationTimestamp"] = rules.now


def _give_addresses(
    item: Service, document: Document, stored: Entry | None, cidrs: tuple[Prefix, ...], taken: dict[Address, str]
) -> None:
    spec: Document = document["spec"]
    before = stored.object if stored is not None and isinstance(stored.object, Service) else None
    held = before.cluster_ips if before is not None else ()
    if held and (item.headless or (item.cluster_ips and not set(item.cluster_ips) <= set(held))):
        raise _refusal(item, "spec.clusterIP", f"a Service keeps its address ({held[0]}); delete it to change that")
    if item.headless:
        return
    addresses = list(held or item.cluster_ips)
    for address in addresses:
        reason = clusterip.objection(item.key, address, taken)
        if reason:
            raise _refusal(item, "spec.clusterIP", reason)
    if not addresses:
        for cidr in _families(item, spec, cidrs):
            chosen = clusterip.choose(item.key, cidr, taken)
            if chosen is None:
                raise _refusal(item, "spec.clusterIP", f"the range {cidr} has no address left; delete Services")
            addresses.append(chosen)
    taken.update(dict.fromkeys(addresses, item.key))
    spec["clusterIP"] = str(addresses[0])
    spec["clusterIPs"] = [str(address) for address in addresses]
    spec["ipFamilies"] = [f"IPv{address.version}" for address in addresses]


def _families(item: Service, spec: Document, cidrs: tuple[Prefix, ...]) -> list[Prefix]:
    """The ranges to take from: both families, unless the Service asks for one."""
    ranges = {cidr.version: cidr for cidr in cidrs}
    missing = [family for family in item.ip_families if family not in ranges]
    if missing:
        raise _refusal(item, "spec.ipFamilies", f"this cluster has no service range for IPv{missing[0]}")
    wanted = list(dict.fromkeys([*item.ip_families, *(sorted(ranges) if len(item.ip_families) != 1 else ())]))
    if spec.get("ipFamilyPolicy") == "SingleStack":
        wanted = wanted[:1]
    elif spec.get("ipFamilyPolicy") in ("PreferDualStack", "RequireDualStack"):
        wanted = list(dict.fromkeys([*wanted, *sorted(ranges)]))
    return [ranges[family] for family in wanted]


def _uid(stored: Entry | None) -> str:
    return stored.object.metadata.uid if stored is not None else ""


def _same(stored: Entry, entry: Entry) -> bool:
    return (
        stored.object.document == entry.object.document
        and stored.source == entry.source
        and stored.status_by == entry.status_by
    )


def _refusal(item: Object, field_path: str, reason: str) -> ObjectsRefused:
    return ObjectsRefused([Problem(item.file, str(item), field_path, reason)])
