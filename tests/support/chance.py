"""A small cluster that invites mistakes, and random policies, changes and requests for it, the same for one seed.

Port names mean different numbers on different pods, labels repeat across namespaces, addresses lie in nested blocks
and outside of the nodes' ranges. Every pod listens on all of `TCP` and `UDP`.
"""

from __future__ import annotations

import copy
import random
from ipaddress import ip_network
from typing import Any

from tests.support.oracle import Document, Request

TCP = (8080, 8081, 9000)
UDP = (5353, 5354)
NAMESPACES = {"red": {"team": "x", "tier": "front"}, "green": {"team": "y"}, "blue": {"team": "x"}}
ACCOUNTS = ("front", "back", "default")
LABELS = {"app": ("web", "db", "cache"), "env": ("prod", "dev"), "pod-template-hash": ("1", "2")}
BLOCKS4 = (
    "0.0.0.0/0", "10.50.0.0/16", "10.50.1.0/24", "10.50.1.8/29", "10.50.1.11/32", "10.50.2.0/24", "10.50.2.12/30",
    "172.20.0.0/16", "172.30.0.0/16", "192.0.2.0/24", "192.0.2.2/32", "128.0.0.0/1",
)  # fmt: skip
BLOCKS6 = (
    "::/0", "fd50::/16", "fd50:1::/64", "fd50:1::8/125", "fd50:1::b/128", "fd50:2::/64", "fd50:2::c/126",
    "fd77::/64", "fd00:30::/64", "2001:db8::/32", "2001:db8::2/128",
)  # fmt: skip
NAMED = (
    (("web", 8080, "TCP"), ("alt", 8081, "TCP"), ("data", 9000, "TCP"), ("dns", 5353, "UDP"), ("aux", 5354, "UDP")),
    (("alt", 8080, "TCP"), ("web", 8081, "TCP"), ("data", 9000, "TCP"), ("dns", 5354, "UDP"), ("aux", 5353, "UDP")),
    (("data", 8080, "TCP"), ("web", 9000, "TCP"), ("", 8081, "TCP"), ("dns", 5353, "UDP"), ("", 5354, "UDP")),
    (("dns", 8080, "TCP"), ("", 9000, "TCP"), ("alt", 8081, "TCP"), ("web", 5353, "UDP"), ("data", 5354, "UDP")),
)
_PLACES = {
    "red/a": ("node-1", "10.50.1.9", "fd50:1::9", 0),
    "red/b": ("node-2", "10.50.2.9", "fd50:2::9", 1),
    "red/c": ("node-1", "172.20.0.3", "fd77::3", 2),
    "green/d": ("node-1", "10.50.1.11", "fd50:1::b", 3),
    "green/e": ("node-2", "10.50.2.12", "fd50:2::c", 0),
    "blue/f": ("node-2", "10.50.2.13", "fd50:2::d", 1),
    "blue/g": ("node-1", "10.50.1.30", "fd50:1::1e", 2),
    "blue/h": ("node-2", "172.20.0.8", "fd77::8", 2),
}
TWINS = ("blue/g", "blue/h")
"""These come with equal labels, account and named ports, and share an identity whenever nothing tells them apart."""


def pod(random_: random.Random, key: str, place: tuple[str, str, str, int]) -> Document:
    node, v4, v6, shape = place
    namespace, _, name = key.partition("/")
    ports = [
        {"containerPort": number, "protocol": protocol, **({"name": called} if called else {})}
        for called, number, protocol in NAMED[shape]
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"pod": known_as(key), **some_labels(random_)}},
        "spec": {
            "nodeName": node,
            "serviceAccountName": random_.choice(ACCOUNTS),
            "containers": [{"name": "main", "image": "echo", "ports": ports}],
        },
        "status": {"podIP": v4, "podIPs": [{"ip": v4}, {"ip": v6}]},
    }


def known_as(key: str) -> str:
    """The value of the label `pod`, by which its Service finds it."""
    return "twin" if key in TWINS else key.partition("/")[2]


def some_labels(random_: random.Random) -> dict[str, str]:
    return {key: random_.choice(values) for key, values in LABELS.items() if random_.random() < 0.8}


def cluster(random_: random.Random) -> list[Document]:
    found: list[Document] = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"podCIDRs": cidrs}}
        for name, cidrs in (
            ("node-1", ["10.50.1.0/24", "fd50:1::/64"]),
            ("node-2", ["10.50.2.0/24", "fd50:2::/64"]),
        )
    ]
    for name, labels in NAMESPACES.items():
        found.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}})
        for account in ACCOUNTS[:2]:
            metadata = {"name": account, "namespace": name}
            found.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    pods = {key: pod(random_, key, place) for key, place in _PLACES.items()}
    first, second = (pods[key] for key in TWINS)
    second["metadata"]["labels"] = dict(first["metadata"]["labels"])
    second["spec"]["serviceAccountName"] = first["spec"]["serviceAccountName"]
    return [*found, *pods.values(), *(service(key) for key in pods if key not in TWINS)]


def service(key: str) -> Document:
    """A Service of one pod; ports have other numbers than the pod's own."""
    namespace, _, name = key.partition("/")
    shape = NAMED[_PLACES[key][3]]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"to-{name}", "namespace": namespace},
        "spec": {
            "ipFamilyPolicy": "PreferDualStack",
            "selector": {"pod": name},
            "ports": [
                {"name": f"p{number}", "port": number + 10_000, "protocol": protocol, "targetPort": called or number}
                for called, number, protocol in shape
            ],
        },
    }


def guest(random_: random.Random, number: int) -> Document:
    """A pod that comes and goes, under another name and with other labels at an address that a guest had before."""
    side = random_.choice((1, 2))
    place = (f"node-{side}", f"10.50.{side}.{100 + number % 2}", f"fd50:{side}::{number % 2 + 256:x}", 0)
    return pod(random_, f"{random_.choice(list(NAMESPACES))}/guest-{number}", place)


def selector(random_: random.Random, labels: dict[str, tuple[str, ...]]) -> Document:
    """Anything from everything to a few contradictory demands."""
    made: Document = {}
    if random_.random() < 0.5:
        key = random_.choice(list(labels))
        made["matchLabels"] = {key: random_.choice(labels[key])}
    if random_.random() < 0.3:
        key = random_.choice(list(labels))
        operator = random_.choice(("In", "NotIn", "Exists", "DoesNotExist"))
        expression: Document = {"key": key, "operator": operator}
        if operator in ("In", "NotIn"):
            expression["values"] = random_.sample(labels[key], random_.randint(1, len(labels[key])))
        made["matchExpressions"] = [expression]
    return made


_NAMESPACE_LABELS = {"team": ("x", "y"), "tier": ("front",), "kubernetes.io/metadata.name": tuple(NAMESPACES)}


def block(random_: random.Random) -> Document:
    family = random_.choice((BLOCKS4, BLOCKS4, BLOCKS6))
    cidr = random_.choice(family)
    wide: Any = ip_network(cidr)
    inner = [one for one in family if one != cidr and ip_network(one).subnet_of(wide)]
    made: Document = {"cidr": cidr}
    if inner and random_.random() < 0.5:
        made["except"] = random_.sample(inner, random_.randint(1, min(2, len(inner))))
    return {"ipBlock": made}


def peer(random_: random.Random, *, mesh: bool) -> Document:
    kind = random_.choice(("pods", "namespaces", "both", "both", "block", *(("account", "entity") if mesh else ())))
    made: Document = {}
    if kind in ("pods", "both"):
        made["podSelector"] = selector(random_, LABELS)
    if kind in ("namespaces", "both"):
        made["namespaceSelector"] = selector(random_, _NAMESPACE_LABELS)
    if kind == "block":
        return block(random_)
    if kind == "account" or (mesh and made and random_.random() < 0.15):
        count = random_.randint(1, 3)
        made["serviceAccounts"] = [
            f"{random_.choice(list(NAMESPACES))}/{random_.choice(ACCOUNTS)}" for _ in range(count)
        ]
    if kind == "entity":
        made["entities"] = random_.sample(("host", "world", "cluster", "remote-node"), random_.randint(1, 2))
    return made


def port(random_: random.Random, *, tcp_only: bool) -> Document:
    protocol = "TCP" if tcp_only else random_.choice(("TCP", "TCP", "UDP", ""))
    made: Document = {"protocol": protocol} if protocol else {}
    kind = random_.choice(("number", "number", "name", "range", "all"))
    if kind == "name":
        made["port"] = random_.choice(("web", "alt", "data", "dns", "aux"))
    elif kind != "all":
        made["port"] = random_.choice(UDP if protocol == "UDP" else TCP)
        if kind == "range":
            made["port"] -= random_.choice((0, 0, 1, 80))
            made["endPort"] = made["port"] + random_.choice((0, 1, 81, 1000))
    elif not made:
        made["protocol"] = "TCP"
    return made


PATHS = ("/", "/a", "/a/b", "/ab", "/b/c")
TARGETS = ("/", "/a", "/a/", "/a/b", "/a/b?q=/b/c", "/ab", "/%61", "/b", "/b/c", "/b/cd", "/a/b/%7e", "/c")
METHODS = ("GET", "POST", "HEAD", "DELETE")
HOSTS = ("one.test", "two.test")


def http_match(random_: random.Random) -> Document:
    made: Document = {}
    if random_.random() < 0.5:
        made["methods"] = random_.sample(METHODS, random_.randint(1, 3))
    if random_.random() < 0.6:
        made["paths"] = [
            {random_.choice(("exact", "prefix")): random_.choice(PATHS)} for _ in range(random_.randint(1, 2))
        ]
    if random_.random() < 0.2:
        made["hosts"] = [random_.choice(HOSTS)]
    if random_.random() < 0.3:
        way: Document = random_.choice(({"exact": "prod"}, {"prefix": "pr"}, {"present": True}, {"absent": True}))
        made["headers"] = [{"name": "X-Env", **way}]
    return made


def request(random_: random.Random) -> Request:
    env = random_.choice(((), (("x-env", "prod"),), (("X-ENV", "preview"),), (("x-env", "dev"),)))
    host = random_.choice((*HOSTS, "ONE.test:8080", "probe"))
    return Request(random_.choice(METHODS), random_.choice(TARGETS), host, env)


def rule(random_: random.Random, side: str, *, mesh: bool) -> Document:
    made: Document = {}
    http = mesh and random_.random() < 0.55
    if random_.random() < 0.75:
        made[side] = [peer(random_, mesh=mesh) for _ in range(random_.randint(1, 2))]
    if random_.random() < 0.7:
        made["ports"] = [port(random_, tcp_only=http) for _ in range(random_.randint(1, 2))]
    if http:
        made["http"] = [http_match(random_) for _ in range(random_.randint(1, 2))]
    if mesh and random_.random() < 0.3:
        made["action"] = "Deny"
    return made


def policy(random_: random.Random, name: str) -> Document:
    mesh = random_.random() < 0.65
    spec: Document = {"podSelector": selector(random_, LABELS)}
    sides = {"ingress": "from", "egress": "to"}
    present = random_.choice((("ingress",), ("ingress",), ("egress",), ("ingress", "egress"), ()))
    for word in present:
        spec[word] = [rule(random_, sides[word], mesh=mesh) for _ in range(random_.randint(1, 3))]
    if random_.random() < 0.4:
        named = {word.capitalize() for word in present} if mesh else set()
        spec["policyTypes"] = sorted(named | {random_.choice(("Ingress", "Egress"))})
    return {
        "apiVersion": "weft.dev/v1alpha1" if mesh else "networking.k8s.io/v1",
        "kind": "MeshPolicy" if mesh else "NetworkPolicy",
        "metadata": {"name": name, "namespace": random_.choice(list(NAMESPACES))},
        "spec": spec,
    }


def relabelled(document: Document, labels: dict[str, str]) -> Document:
    """The same object with other labels; a pod stays behind its own Service."""
    made: dict[str, Any] = copy.deepcopy(document)
    kept = {key: value for key, value in made["metadata"]["labels"].items() if key == "pod"}
    made["metadata"]["labels"] = {**kept, **labels}
    return made


def namespace_labels(random_: random.Random) -> dict[str, str]:
    made = {"team": random_.choice(("x", "y"))}
    return {**made, "tier": "front"} if random_.random() < 0.5 else made
