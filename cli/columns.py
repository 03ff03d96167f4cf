"""What a table shows of each kind of object, as kubectl does where both know the kind. Pure."""

from __future__ import annotations

from cli.document import Json, dig, key_of, number, rows, text, texts
from cli.formats import View
from cli.grid import Column
from cli.kinds import Kind
from cli.selectors import directions, labels, port, selector

STATES = {
    "Running": "green",
    "Ready": "green",
    "Active": "green",
    "Pending": "yellow",
    "Failed": "red",
    "CrashLoopBackOff": "red",
    "Succeeded": "dim",
}


NAME = Column(header="NAME", value=lambda row: text(row, "metadata", "name"))
NAMESPACE = Column(header="NAMESPACE", value=lambda row: text(row, "metadata", "namespace"))
LABELS = Column(
    header="LABELS",
    value=lambda row: labels(dig(row, "metadata", "labels")),
    wide=True,
    shrink=True,
)


def pod_ips(pod: Json) -> list[str]:
    """status.podIPs, or the one of status.podIP."""
    several = [text(entry, "ip") for entry in rows(pod, "status", "podIPs")]
    single = text(pod, "status", "podIP")
    return several or ([single] if single else [])


def ready(pod: Json) -> str:
    """`1/1`: containers that are ready, of those there are."""
    containers = len(rows(pod, "spec", "containers"))
    statuses = rows(pod, "status", "containerStatuses")
    if statuses:
        return f"{sum(text(status, 'ready') == 'true' for status in statuses)}/{containers}"
    conditions = {text(one, "type"): text(one, "status") for one in rows(pod, "status", "conditions")}
    return f"{containers if conditions.get('Ready') == 'True' else 0}/{containers}" if conditions else ""


def service_ports(service: Json) -> str:
    """`80->8080/TCP,53/UDP`."""
    shown = []
    for entry in rows(service, "spec", "ports"):
        outside, inside = text(entry, "port"), text(entry, "targetPort")
        arrow = f"->{inside}" if inside and inside != outside else ""
        shown.append(f"{outside}{arrow}/{text(entry, 'protocol', default='TCP')}")
    return ",".join(shown)


def cluster_ips(service: Json) -> str:
    return ",".join(texts(service, "spec", "clusterIPs")) or text(service, "spec", "clusterIP")


def _endpoints(piece: Json) -> str:
    addresses = [address for entry in rows(piece, "endpoints") for address in texts(entry, "addresses")]
    return ",".join(addresses)


def _rules(policy: Json) -> str:
    """`2 Allow, 1 Deny (1 http)`."""
    found = [*rows(policy, "spec", "ingress"), *rows(policy, "spec", "egress")]
    denies = sum(text(rule, "action") == "Deny" for rule in found)
    https = sum("http" in rule for rule in found)
    parts = [f"{count} {word}" for count, word in ((len(found) - denies, "Allow"), (denies, "Deny")) if count]
    return (", ".join(parts) or "none") + (f" ({https} http)" if https else "")


_POLICY = (
    Column(header="POD-SELECTOR", value=lambda row: selector(dig(row, "spec", "podSelector") or {}), shrink=True),
    Column(header="TYPES", value=lambda row: ",".join(directions(row))),
    Column(header="RULES", value=_rules),
)

_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Namespace": (
        Column(header="STATUS", value=lambda row: text(row, "status", "phase", default="Active"), colours=STATES),
    ),
    "Node": (
        Column(
            header="POD-CIDRS",
            value=lambda row: ",".join(texts(row, "spec", "podCIDRs") or [text(row, "spec", "podCIDR")]),
            shrink=True,
        ),
        Column(
            header="ADDRESSES",
            value=lambda row: ",".join(
                text(entry, "address")
                for entry in rows(row, "status", "addresses")
                if text(entry, "type") == "InternalIP"
            ),
            shrink=True,
        ),
    ),
    "Pod": (
        Column(header="READY", value=ready),
        Column(header="STATUS", value=lambda row: text(row, "status", "phase", default="Pending"), colours=STATES),
        Column(header="IP", value=lambda row: (pod_ips(row) or [""])[0]),
        Column(header="NODE", value=lambda row: text(row, "spec", "nodeName")),
        Column(header="IPS", value=lambda row: ",".join(pod_ips(row)), wide=True),
        Column(
            header="SERVICE-ACCOUNT",
            wide=True,
            value=lambda row: text(row, "spec", "serviceAccountName", default="default"),
        ),
    ),
    "Deployment": (
        Column(header="REPLICAS", right=True, value=lambda row: text(row, "spec", "replicas", default="1")),
        Column(header="READY", right=True, value=lambda row: str(number(row, "status", "readyReplicas"))),
        Column(header="SELECTOR", value=lambda row: selector(dig(row, "spec", "selector")), shrink=True),
    ),
    "ServiceAccount": (),
    "Service": (
        Column(header="TYPE", value=lambda row: text(row, "spec", "type", default="ClusterIP")),
        Column(header="CLUSTER-IP", value=cluster_ips, shrink=True),
        Column(header="PORTS", value=service_ports, shrink=True),
        Column(header="SELECTOR", value=lambda row: labels(dig(row, "spec", "selector")), wide=True),
    ),
    "EndpointSlice": (
        Column(header="SERVICE", value=lambda row: text(row, "metadata", "labels", "kubernetes.io/service-name")),
        Column(header="TYPE", value=lambda row: text(row, "addressType")),
        Column(header="PORTS", value=lambda row: ",".join(port(entry) for entry in rows(row, "ports"))),
        Column(header="ENDPOINTS", value=_endpoints, shrink=True),
    ),
    "NetworkPolicy": _POLICY,
    "MeshPolicy": _POLICY,
    "MeshConfig": (
        Column(header="TRUST-DOMAIN", value=lambda row: text(row, "spec", "trustDomain", default="cluster.local")),
        Column(header="DENY-FEEDBACK", value=lambda row: text(row, "spec", "denyFeedback", default="Reset")),
    ),
}


def view(kind: Kind, *, with_namespace: bool) -> View:
    """How `get` shows a kind."""
    first = (NAMESPACE, NAME) if kind.namespaced and with_namespace else (NAME,)
    return View(columns=(*first, *_COLUMNS[kind.name], LABELS), name=key_of, empty=f"no {kind.plural}")


def kinded(row: Json) -> str:
    """`Pod shop/client`: the name in a listing of several kinds."""
    return f"{text(row, 'kind')} {key_of(row)}"
