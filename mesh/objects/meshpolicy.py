"""MeshPolicy (`weft.dev/v1alpha1`): allow and deny, from L3 to L7.

Fields that are kept for later versions are refused: a policy that is half understood is not enforced.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mesh.model import Action, Direction, Protocol
from mesh.objects.httpmatches import read_http
from mesh.objects.metadata import Head, KubeObject
from mesh.objects.names import dns_label, qualified_account
from mesh.objects.policyrules import (
    Peer,
    PolicyRule,
    read_peers,
    read_policy_types,
    read_ports,
    read_selecting_peer,
)
from mesh.objects.reader import NOT_YET, Reader
from mesh.objects.selectors import LabelSelector, read_selector

ENTITIES = ("host", "world", "cluster", "remote-node", "kube-apiserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshPolicy(KubeObject):
    kind: ClassVar[str] = "MeshPolicy"
    pod_selector: LabelSelector
    default_deny: tuple[Direction, ...]
    """Directions that it makes default deny."""
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()


def read_mesh_policy(root: Reader, head: Head) -> MeshPolicy:
    root.require("spec")
    root.skip("status")
    spec = root.inside("spec")
    ingress = tuple(_read_rule(item, index, "from") for index, item in enumerate(spec.each("ingress")))
    egress = tuple(_read_rule(item, index, "to") for index, item in enumerate(spec.each("egress")))
    if spec.choice("mode", ("Enforce", "DryRun"), default="Enforce") == "DryRun":
        spec.refuse("mode", f"DryRun is {NOT_YET}")
    spec.not_yet("enableDefaultDeny")
    policy = MeshPolicy(
        metadata=head.metadata,
        document=head.document,
        file=head.file,
        pod_selector=read_selector(spec.inside("podSelector")),
        default_deny=_default_deny(spec, ingress, egress),
        ingress=ingress,
        egress=egress,
    )
    spec.close()
    return policy


def _default_deny(
    spec: Reader, ingress: tuple[PolicyRule, ...], egress: tuple[PolicyRule, ...]
) -> tuple[Direction, ...]:
    """A direction that has an Allow rule or that the author named; Deny rules by themselves only take away."""
    rules = {Direction.INGRESS: ingress, Direction.EGRESS: egress}
    named = read_policy_types(spec)
    if named is None and not ingress and not egress:
        # Nothing said at all: default deny of ingress, as a NetworkPolicy without rules.
        return (Direction.INGRESS,)
    for word, direction in (("ingress", Direction.INGRESS), ("egress", Direction.EGRESS)):
        if named is not None and direction not in named and rules[direction]:
            spec.refuse(word, f"policyTypes does not name {word.capitalize()}, so these rules would have no effect")
    return tuple(
        direction
        for direction in (Direction.INGRESS, Direction.EGRESS)
        if direction in (named or ()) or any(rule.action is Action.ALLOW for rule in rules[direction])
    )


def _read_rule(reader: Reader, index: int, side: str) -> PolicyRule:
    rule = PolicyRule(
        index=index,
        name=reader.text("name", check=dns_label),
        action=Action(reader.choice("action", [action.value for action in Action], default=Action.ALLOW.value)),
        peers=read_peers(reader, side, _read_peer),
        ports=read_ports(reader),
        http=read_http(reader, "http"),
    )
    if side == "to":
        reader.not_yet("services", "fqdns")
    if rule.http is not None:
        for number, port in enumerate(rule.ports):
            if port.protocol is not Protocol.TCP:
                reader.report.add((*reader.path, "ports", number, "protocol"), "http goes with TCP only")
    reader.close()
    return rule


def _read_peer(reader: Reader) -> Peer:
    peer = read_selecting_peer(reader)
    peer = replace(
        peer,
        accounts=reader.texts("serviceAccounts", qualified_account),
        entities=reader.texts("entities", _entity_reason),
    )
    later = ("spiffeIDs", "services", "fqdns")
    reader.not_yet(*later)
    fields = ("podSelector", "namespaceSelector", "ipBlock", "serviceAccounts", "entities")
    given = [name for name in fields if reader.has(name)]
    for name in ("serviceAccounts", "entities"):
        if reader.raw(name) == []:
            reader.refuse(name, "is empty and would match no peer")
    if not given and not any(reader.has(name) for name in later):
        reader.refuse(None, f"names no peer: give one of {', '.join(fields)}")
    if "ipBlock" in given and any(name in given for name in ("serviceAccounts", "entities")):
        reader.refuse("ipBlock", "stands alone: it cannot be combined with other fields of a peer")
    reader.close()
    return peer


def _entity_reason(text: str) -> str | None:
    return None if text in ENTITIES else f"{text[:80]!r} is none of {', '.join(ENTITIES)}"
