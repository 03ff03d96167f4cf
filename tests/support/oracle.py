"""A second reading of NetworkPolicy and MeshPolicy: straight from the documents, slow, without a line of `mesh.policy`.

Journeys hold what packets and requests met against it. It answers one flow at a time by asking every policy anew: no
identities, no compiled rules. Ends are named `ns/pod`, `node:NAME` or `world`; addresses are text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote

Document = dict[str, Any]
NODE = "node:"
MESH = "weft.dev/mesh"


@dataclass(frozen=True, slots=True)
class Request:
    method: str = "GET"
    target: str = "/"
    host: str = "probe"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])


@dataclass(frozen=True, slots=True)
class Answer:
    """`allow`, `deny`, or `requests`: the connection stands and each request gets a verdict of its own."""

    verdict: str
    direction: str = ""
    """Of a denial: egress or ingress."""
    policies: frozenset[str] = frozenset()
    """Of a denial: what decided, or the policies behind the default deny."""
    l7: bool = False
    """An HTTP rule has a say."""
    accepted: bool = False
    """Of a denial at another node's pod: the source's HTTP rules have its own node's proxy accept the connection."""


ALLOW = Answer("allow")


@dataclass(frozen=True, slots=True)
class Flow:
    source: str
    target: str
    source_ip: str
    target_ip: str
    protocol: str
    port: int
    request: Request | None = None


@dataclass(slots=True)
class Oracle:
    """Everything that was applied, and not deleted, by kind and key."""

    documents: dict[tuple[str, str], Document] = field(default_factory=dict)

    def apply(self, documents: Iterable[Document]) -> None:
        for document in documents:
            self.documents[document["kind"], key_of(document)] = document

    def delete(self, kind: str, key: str) -> None:
        del self.documents[kind, key]

    def copy(self) -> Oracle:
        return Oracle(dict(self.documents))

    def of(self, *kinds: str) -> list[Document]:
        return [document for (kind, _), document in self.documents.items() if kind in kinds]

    def answer(self, flow: Flow) -> Answer:
        """The verdict on a flow; without a request, on the connection."""
        if flow.source == flow.target or self._own_node(flow.source, flow.target):
            return ALLOW
        halves = [self._half(flow, "egress"), self._half(flow, "ingress")]
        denials = [half for half in halves if half.verdict == "deny"]
        for half in sorted(denials, key=lambda half: half.l7):
            if half.direction == "ingress" and not half.l7 and self.node_of(flow.source) != self.node_of(flow.target):
                half = replace(half, accepted=self._half(replace(flow, request=None), "egress").l7)
            return half
        return Answer("requests", l7=True) if any(half.verdict == "requests" for half in halves) else ALLOW

    def legs(self, flow: Flow) -> tuple[str, ...]:
        """The verdict of each node that the flow crosses: of the whole on one node, of each half where there are two.

        Each node has a leg of its own, direct or through its proxy, and ends it when the way of that leg changes.
        """
        if self.node_of(flow.source) == self.node_of(flow.target):
            return (self.answer(flow).verdict,)
        return (self._half(flow, "egress").verdict, self._half(flow, "ingress").verdict)

    def node_of(self, name: str) -> str:
        """Of a pod; what is no pod is on none."""
        return str(self.documents["Pod", name]["spec"].get("nodeName")) if "/" in name else name

    def _own_node(self, one: str, other: str) -> bool:
        for node, pod in ((one, other), (other, one)):
            if node.startswith(NODE) and "/" in pod:
                return self.node_of(pod) == node.removeprefix(NODE)
        return False

    def _half(self, flow: Flow, direction: str) -> Answer:
        subject = flow.source if direction == "egress" else flow.target
        if self.is_left_alone(subject):
            return ALLOW
        closing: set[str] = set()
        found: dict[tuple[str, bool], set[str]] = {}
        for policy in self._selecting(subject):
            if denies_by_default(policy, direction):
                closing.add(key_of(policy))
            for rule in effective_rules(policy, direction):
                if self._covers(policy, rule, flow, direction):
                    http = rule.get("http")
                    action = rule.get("action", "Allow")
                    if http is None or flow.request is None or _any_matches(http, flow.request, action):
                        found.setdefault((action, http is not None), set()).add(key_of(policy))
                    if http is not None and action == "Allow":
                        found.setdefault(("Opened", True), set()).add(key_of(policy))
        return _settle(found, closing, direction, request_seen=flow.request is not None)

    def is_left_alone(self, pod: str) -> bool:
        """Labelled so, itself or its namespace; its own word wins. Without a word the lab enrols everybody."""
        if "/" not in pod:
            return True
        metadata = self.documents["Pod", pod]["metadata"]
        words = metadata.get("labels", {}), self._namespace_labels(metadata["namespace"])
        return next((labels[MESH] for labels in words if MESH in labels), "enabled") == "disabled"

    def _selecting(self, pod: str) -> Iterator[Document]:
        labels = self.documents["Pod", pod]["metadata"].get("labels", {})
        namespace = pod.partition("/")[0]
        for policy in self.of("NetworkPolicy", "MeshPolicy"):
            same = policy["metadata"]["namespace"] == namespace
            if same and selects(policy["spec"].get("podSelector", {}), labels):
                yield policy

    def _covers(self, policy: Document, rule: Document, flow: Flow, direction: str) -> bool:
        peer, ip = (flow.target, flow.target_ip) if direction == "egress" else (flow.source, flow.source_ip)
        peers = rule.get("to" if direction == "egress" else "from") or []
        namespace = policy["metadata"]["namespace"]
        if peers and not any(self._is_peer(entry, peer, ip, namespace) for entry in peers):
            return False
        if "http" in rule and flow.protocol != "TCP":
            return False
        ports = rule.get("ports") or []
        return not ports or any(self._is_port(port, flow) for port in ports)

    def _is_peer(self, entry: Document, peer: str, ip: str, namespace: str) -> bool:
        if "ipBlock" in entry:
            inside = [entry["ipBlock"]["cidr"]], entry["ipBlock"].get("except") or []
            included, excepted = (any(ip_address(ip) in ip_network(one) for one in some) for some in inside)
            return included and not excepted
        pod = self.documents["Pod", peer] if "/" in peer else None
        if "podSelector" in entry or "namespaceSelector" in entry:
            if pod is None:
                return False
            own = pod["metadata"]["namespace"]
            spaces = entry.get("namespaceSelector")
            if own != namespace if spaces is None else not selects(spaces, self._namespace_labels(own)):
                return False
            if not selects(entry.get("podSelector") or {}, pod["metadata"].get("labels", {})):
                return False
        if "serviceAccounts" in entry:
            if pod is None:
                return False
            account = pod["spec"].get("serviceAccountName", "default")
            if f"{pod['metadata']['namespace']}/{account}" not in entry["serviceAccounts"]:
                return False
        kinds = {"world"} if peer == "world" else {"cluster"} if pod is not None else {"cluster", "remote-node"}
        return "entities" not in entry or bool(kinds & set(entry["entities"]))

    def _namespace_labels(self, namespace: str) -> Mapping[str, str]:
        given = self.documents["Namespace", namespace]["metadata"].get("labels", {})
        return {**given, "kubernetes.io/metadata.name": namespace}

    def _is_port(self, port: Document, flow: Flow) -> bool:
        if port.get("protocol", "TCP") != flow.protocol:
            return False
        number: Any = port.get("port")
        if number is None:
            return True
        if isinstance(number, str):
            # whichever direction: a name is looked up on the pod that is called
            return "/" in flow.target and any(
                (had.get("name"), had.get("protocol", "TCP"), had["containerPort"])
                == (number, flow.protocol, flow.port)
                for container in self.documents["Pod", flow.target]["spec"]["containers"]
                for had in container.get("ports", ())
            )
        return bool(number <= flow.port <= port.get("endPort", number))


def key_of(document: Document) -> str:
    metadata = document["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else str(metadata["name"])


def selects(selector: Document, labels: Mapping[str, str]) -> bool:
    """A Kubernetes label selector."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        key, operator, values = expression["key"], expression["operator"], expression.get("values", [])
        holds = {
            "In": key in labels and labels.get(key) in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[operator]
        if not holds:
            return False
    return True


def denies_by_default(policy: Document, direction: str) -> bool:
    spec = policy["spec"]
    named = spec.get("policyTypes")
    if policy["kind"] == "NetworkPolicy":
        if named is not None:
            return direction.capitalize() in named
        return direction == "ingress" or bool(spec.get("egress"))
    if direction.capitalize() in (named or ()):
        return True
    if named is None and not spec.get("ingress") and not spec.get("egress"):
        return direction == "ingress"
    return any(rule.get("action", "Allow") == "Allow" for rule in spec.get(direction) or ())


def effective_rules(policy: Document, direction: str) -> Sequence[Document]:
    """A NetworkPolicy's rules of a direction that its policyTypes leaves out say nothing."""
    if policy["kind"] == "NetworkPolicy" and not denies_by_default(policy, direction):
        return ()
    return policy["spec"].get(direction) or ()


def _settle(
    found: Mapping[tuple[str, bool], set[str]], closing: set[str], direction: str, *, request_seen: bool
) -> Answer:
    """Plain deny, deny by request, plain allow (or nothing closes the direction), allow by request, default."""

    def deny(policies: Iterable[str], *, l7: bool) -> Answer:
        return Answer("deny", direction, frozenset(policies), l7)

    if found.get(("Deny", False)):
        return deny(found["Deny", False], l7=False)
    opened = not closing or bool(found.get(("Allow", False)))
    opened_for_some = found.get(("Opened", True), set())
    if not opened and not opened_for_some:
        return deny(closing, l7=False)
    if not request_seen:
        return Answer("requests", l7=True) if found.get(("Deny", True)) or not opened else ALLOW
    if found.get(("Deny", True)):
        return deny(found["Deny", True], l7=True)
    if opened or found.get(("Allow", True)):
        return ALLOW
    return deny(opened_for_some, l7=True)


def _any_matches(http: Iterable[Document], request: Request, action: str) -> bool:
    return any(_matches(entry, request, lenient=action == "Deny") for entry in http)


def _matches(entry: Document, request: Request, *, lenient: bool) -> bool:
    methods = entry.get("methods")
    if methods and request.method not in methods and not (lenient and request.method.upper() in methods):
        return False
    hosts = [host.lower() for host in entry.get("hosts") or ()]
    if hosts and request.host.lower().partition(":")[0] not in hosts:
        return False
    paths = entry.get("paths")
    if paths and not any(_path_matches(path, request.path) for path in paths):
        return False
    return all(_header_matches(header, request.headers) for header in entry.get("headers") or ())


def _path_matches(wanted: Document, path: str) -> bool:
    if "exact" in wanted:
        return bool(path == wanted["exact"])
    elements = [element for element in wanted["prefix"].split("/") if element]
    return path.split("/")[1 : 1 + len(elements)] == elements


def _header_matches(wanted: Document, headers: Iterable[tuple[str, str]]) -> bool:
    values = [value for name, value in headers if name.lower() == wanted["name"].lower()]
    if "absent" in wanted:
        return not values
    if "present" in wanted:
        return bool(values)
    if "exact" in wanted:
        return wanted["exact"] in values
    return any(value.startswith(wanted["prefix"]) for value in values)
