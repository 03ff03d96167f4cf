"""What policy reads of the objects: pods that run, namespaces, nodes, policies, and what the policies speak about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from mesh.model import Address, Prefix
from mesh.objects.core import ENROLMENT, NAMESPACE_NAME_LABEL, Namespace, Node, Pod
from mesh.objects.kinds import Object
from mesh.objects.meshpolicy import MeshPolicy
from mesh.objects.networkpolicy import NetworkPolicy
from mesh.objects.services import EndpointSlice
from mesh.policy.rules import Policy

Labels = Mapping[str, str]

_API_SERVER = "default/kubernetes"


class Intent:
    """The objects that policy reads, sorted out. Pods that run no more are left out."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self.namespaces: dict[str, Labels] = {}
        self.pods: list[Pod] = []
        self.nodes: list[Node] = []
        self.api_server: set[Address] = set()
        policies: list[Policy] = []
        for item in objects:
            match item:
                case Namespace():
                    self.namespaces[item.metadata.name] = dict(item.metadata.labels)
                case Pod() if not item.finished:
                    self.pods.append(item)
                case Node():
                    self.nodes.append(item)
                case NetworkPolicy() | MeshPolicy():
                    policies.append(item)
                case EndpointSlice() if item.service == _API_SERVER:
                    self.api_server.update(address for one in item.endpoints for address in one.addresses)
        self.pods.sort(key=lambda pod: pod.key)
        self.nodes.sort(key=lambda node: node.key)
        self.policies = sorted(policies, key=lambda policy: (policy.kind, policy.key))
        for item in (*self.pods, *self.policies):
            name = item.metadata.namespace
            self.namespaces.setdefault(name, {NAMESPACE_NAME_LABEL: name})
        self._of_namespace: dict[str, list[Policy]] = defaultdict(list)
        for policy in self.policies:
            self._of_namespace[policy.metadata.namespace].append(policy)
        self._chosen: dict[tuple[str, frozenset[tuple[str, str]]], tuple[Policy, ...]] = {}

    def selecting(self, namespace: str, labels: Labels) -> tuple[Policy, ...]:
        """The policies that select a pod with these labels."""
        at = (namespace, frozenset(labels.items()))
        known = self._chosen.get(at)
        if known is None:
            candidates = self._of_namespace.get(namespace, ())
            known = self._chosen[at] = tuple(one for one in candidates if one.pod_selector.matches(labels))
        return known

    def enrolled(self, pod: Pod, labels: Labels, *, enrol_all: bool) -> bool:
        """The pod's own word wins over its namespace's."""
        spoken = (labels, dict(pod.metadata.annotations), self.namespaces[pod.metadata.namespace])
        words = (one.get(ENROLMENT) for one in spoken)
        word = next((word for word in words if word in ("enabled", "disabled")), None)
        return enrol_all if word is None else word == "enabled"

    @property
    def blocks(self) -> frozenset[Prefix]:
        """Every prefix that some ipBlock names, to allow or to except."""
        return frozenset(
            prefix
            for policy in self.policies
            for rule in (*policy.ingress, *policy.egress)
            for peer in rule.peers or ()
            if peer.block is not None
            for prefix in (peer.block.cidr, *peer.block.excepts)
        )

    @property
    def selected_keys(self) -> frozenset[str]:
        """Every label key that some policy selects pods by."""
        keys: set[str] = set()
        for policy in self.policies:
            keys |= policy.pod_selector.keys
            for rule in (*policy.ingress, *policy.egress):
                for peer in rule.peers or ():
                    keys |= peer.pod_selector.keys if peer.pod_selector is not None else frozenset()
        return frozenset(keys)
