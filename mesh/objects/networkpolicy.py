"""NetworkPolicy (`networking.k8s.io/v1`), complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mesh.model import Direction
from mesh.objects.metadata import Head, KubeObject
from mesh.objects.policyrules import (
    Peer,
    PolicyRule,
    read_peers,
    read_policy_types,
    read_ports,
    read_selecting_peer,
)
from mesh.objects.reader import Reader
from mesh.objects.selectors import LabelSelector, read_selector


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy(KubeObject):
    kind: ClassVar[str] = "NetworkPolicy"
    pod_selector: LabelSelector
    policy_types: tuple[Direction, ...]
    """Directions that it makes default deny; rules of another direction have no effect, as in Kubernetes."""
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()


def read_network_policy(root: Reader, head: Head) -> NetworkPolicy:
    root.require("spec")
    root.skip("status")
    spec = root.inside("spec")
    ingress = tuple(_read_rule(item, index, "from") for index, item in enumerate(spec.each("ingress")))
    egress = tuple(_read_rule(item, index, "to") for index, item in enumerate(spec.each("egress")))
    named = read_policy_types(spec)
    # Not named: Ingress always, Egress where there are egress rules (networking/v1 types.go, PolicyTypes).
    default = (Direction.INGRESS, Direction.EGRESS) if spec.raw("egress") else (Direction.INGRESS,)
    policy = NetworkPolicy(
        metadata=head.metadata,
        document=head.document,
        file=head.file,
        pod_selector=read_selector(spec.inside("podSelector")),
        policy_types=default if named is None else named,
        ingress=ingress,
        egress=egress,
    )
    spec.close()
    return policy


def _read_rule(reader: Reader, index: int, side: str) -> PolicyRule:
    rule = PolicyRule(index=index, peers=read_peers(reader, side, _read_peer), ports=read_ports(reader))
    reader.close()
    return rule


def _read_peer(reader: Reader) -> Peer:
    peer = read_selecting_peer(reader)
    if not any(reader.has(name) for name in ("podSelector", "namespaceSelector", "ipBlock")):
        reader.refuse(None, "names no peer: give podSelector, namespaceSelector or ipBlock")
    reader.close()
    return peer
