"""What no object can see by itself: duplicates, references that lead nowhere, policies that select nothing.

`check` is asked about the whole intent as it would be after a change, so a change that would leave a reference dangling
is refused before anything is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from mesh.model import Direction, Protocol
from mesh.objects.advice import advice
from mesh.objects.core import Namespace, Node, Pod, ServiceAccount
from mesh.objects.errors import Problem
from mesh.objects.kinds import Object
from mesh.objects.meshpolicy import MeshPolicy
from mesh.objects.networkpolicy import NetworkPolicy
from mesh.objects.policyrules import PolicyRule
from mesh.objects.services import Service
from mesh.objects.workloads import Deployment

NAMESPACES_THAT_ALWAYS_EXIST = frozenset({"default", "kube-system"})

Policy = NetworkPolicy | MeshPolicy
PortName = tuple[Protocol, str]
"""A name of a UDP port is none of TCP: the pair is what a rule or a Service looks up."""


def check(objects: Iterable[Object]) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """(problems, warnings). Problems refuse the change; warnings are told and change nothing."""
    everything = list(objects)
    known = _Known(everything)
    problems = list(duplicates(everything))
    warnings: list[Problem] = []
    for item in everything:
        problems += _namespace_problems(item, known)
        warnings += advice(item)
        match item:
            case Pod():
                problems += _pod_problems(item, known)
            case Deployment():
                problems += _account_problems(item, item.template.service_account, "spec.template.spec", known)
            case NetworkPolicy() | MeshPolicy():
                warnings += _policy_warnings(item, known)
                warnings += _account_warnings(item, known)
            case Service():
                warnings += _service_warnings(item, known)
    problems += _address_problems(everything)
    return tuple(problems), tuple(warnings)


def duplicates(objects: Iterable[Object]) -> Iterator[Problem]:
    """The same object given twice: nobody could say which one was meant."""
    seen: dict[tuple[str, str], Object] = {}
    for item in objects:
        first = seen.setdefault((item.kind, item.key), item)
        if first is not item:
            where = f" in {first.file}" if first.file else ""
            yield _problem(item, "metadata.name", f"the same {item.kind} is given twice; first{where}")


class _Known:
    """The names that references may lead to."""

    def __init__(self, objects: list[Object]) -> None:
        self.namespaces = {item.metadata.name for item in objects if isinstance(item, Namespace)}
        self.namespaces |= NAMESPACES_THAT_ALWAYS_EXIST
        self.nodes = {item.metadata.name for item in objects if isinstance(item, Node)}
        self.accounts = {item.key for item in objects if isinstance(item, ServiceAccount)}
        self.labels: dict[str, list[dict[str, str]]] = defaultdict(list)
        """Labels of pods (also those that a Deployment will make) by namespace."""
        self.port_names: dict[str, set[PortName]] = defaultdict(set)
        for item in objects:
            match item:
                case Pod():
                    labels, spec = item.metadata.labels, item.spec
                case Deployment():
                    labels, spec = item.template_labels, item.template
                case _:
                    continue
            self.labels[item.metadata.namespace].append(dict(labels))
            self.port_names[item.metadata.namespace].update(
                (port.protocol, port.name) for port in spec.ports if port.name
            )

    @property
    def every_port_name(self) -> set[PortName]:
        return set().union(*self.port_names.values())


def _problem(item: Object, field: str, reason: str) -> Problem:
    return Problem(item.file, str(item), field, reason)


def _namespace_problems(item: Object, known: _Known) -> Iterator[Problem]:
    namespace = item.metadata.namespace
    if namespace and namespace not in known.namespaces:
        yield _problem(item, "metadata.namespace", f"there is no Namespace {namespace!r}")


def _pod_problems(pod: Pod, known: _Known) -> Iterator[Problem]:
    if pod.spec.node_name and known.nodes and pod.spec.node_name not in known.nodes:
        yield _problem(pod, "spec.nodeName", f"there is no Node {pod.spec.node_name!r}")
    yield from _account_problems(pod, pod.spec.service_account, "spec", known)


def _account_problems(item: Object, account: str, where: str, known: _Known) -> Iterator[Problem]:
    if account != "default" and f"{item.metadata.namespace}/{account}" not in known.accounts:
        reason = f"there is no ServiceAccount {item.metadata.namespace}/{account}"
        yield _problem(item, f"{where}.serviceAccountName", reason)


def _address_problems(objects: list[Object]) -> Iterator[Problem]:
    """Identity rests on addresses: each has one owner."""
    owners: dict[object, Object] = {}
    for item in sorted(objects, key=lambda item: not isinstance(item, Node)):
        match item:
            case Node():
                field, addresses = "status.addresses", item.addresses
            case Pod() if not (item.spec.host_network or item.finished):
                field, addresses = "status.podIPs", item.ips
            case Service():
                field, addresses = "spec.clusterIPs", item.cluster_ips
            case _:
                continue
        for address in addresses:
            first = owners.setdefault(address, item)
            if first is not item and (first.kind, first.key) != (item.kind, item.key):
                yield _problem(item, field, f"{address} is the address of {first} already")


def _policy_warnings(policy: Policy, known: _Known) -> Iterator[Problem]:
    labels = known.labels.get(policy.metadata.namespace, [])
    if not any(policy.pod_selector.matches(one) for one in labels):
        yield _problem(policy, "spec.podSelector", "selects no pod at present")
    for direction, word, rules in (
        (Direction.INGRESS, "ingress", policy.ingress),
        (Direction.EGRESS, "egress", policy.egress),
    ):
        if isinstance(policy, NetworkPolicy) and rules and direction not in policy.policy_types:
            reason = f"policyTypes does not name {word.capitalize()}, so these rules have no effect"
            yield _problem(policy, f"spec.{word}", reason)
        names = known.every_port_name
        if direction is Direction.INGRESS:
            names = known.port_names.get(policy.metadata.namespace, set())
        yield from _port_name_warnings(policy, word, rules, names)


def _port_name_warnings(
    policy: Policy, word: str, rules: tuple[PolicyRule, ...], names: set[PortName]
) -> Iterator[Problem]:
    for rule in rules:
        for number, port in enumerate(rule.ports):
            if isinstance(port.port, str) and (port.protocol, port.port) not in names:
                field = f"spec.{word}[{rule.index}].ports[{number}].port"
                yield _problem(policy, field, f"no pod has a {port.protocol.name} port named {port.port!r} at present")


def _account_warnings(policy: Policy, known: _Known) -> Iterator[Problem]:
    for word, rules in (("ingress", policy.ingress), ("egress", policy.egress)):
        for rule in rules:
            for number, peer in enumerate(rule.peers or ()):
                for account in peer.accounts:
                    if account not in known.accounts and not account.endswith("/default"):
                        side = "from" if word == "ingress" else "to"
                        field = f"spec.{word}[{rule.index}].{side}[{number}].serviceAccounts"
                        yield _problem(policy, field, f"there is no ServiceAccount {account} at present")


def _service_warnings(service: Service, known: _Known) -> Iterator[Problem]:
    names = known.port_names.get(service.metadata.namespace, set())
    for number, port in enumerate(service.ports):
        if isinstance(port.target, str) and service.selector and (port.protocol, port.target) not in names:
            field = f"spec.ports[{number}].targetPort"
            yield _problem(service, field, f"no pod has a {port.protocol.name} port named {port.target!r} at present")
