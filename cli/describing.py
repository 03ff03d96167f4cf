"""`weft describe` as text: an object's fields in words, kind by kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cli.columns import cluster_ips, pod_ips, ready, service_ports
from cli.document import Json, dig, number, rows, table, text, texts
from cli.selectors import directions, http, labels, peer, port, selector

Line = tuple[int, str, str]
"""(depth, label, value)."""

_LABEL_WIDTH = 18
LONGEST_VALUE = 100


def describe(item: Json, *, policies: Sequence[Json] = (), behind: Sequence[Json] = ()) -> str:
    """Label and value on each line. `policies` are those that select a pod, `behind` the backends of a Service."""
    lines = [*_header(item), *_BODY.get(text(item, "kind"), _nothing)(item)]
    if text(item, "kind") == "Service":
        lines += _continued("Endpoints", [_backend(entry) for entry in behind], none="<none is ready>")
    if policies:
        lines.append((0, "Policies", ""))
        lines += [(1, f"{text(policy, 'kind')} {text(policy, 'policy')}", "") for policy in policies]
    elif text(item, "kind") == "Pod":
        lines.append((0, "Policies", "none selects this pod: it accepts and sends everything"))
    return "\n".join(_laid_out(line) for line in lines)


def _laid_out(line: Line) -> str:
    depth, label, value = line
    indented = "  " * depth + (f"{label}:" if not depth or value else label)
    return f"{indented:<{_LABEL_WIDTH}} {value}".rstrip() if value else indented


def _header(item: Json) -> Iterator[Line]:
    yield 0, "Kind", text(item, "kind")
    yield 0, "Name", text(item, "metadata", "name")
    if namespace := text(item, "metadata", "namespace"):
        yield 0, "Namespace", namespace
    for field in ("labels", "annotations"):
        found = [f"{key}={_short(str(value))}" for key, value in table(item, "metadata", field).items()]
        if found or field == "labels":
            yield from _continued(field.capitalize(), found)


def _short(value: str) -> str:
    """On one line; an annotation may hold a whole document."""
    flat = " ".join(value.split())
    return flat if len(flat) <= LONGEST_VALUE else flat[: LONGEST_VALUE - 1] + "…"


def _continued(label: str, values: Sequence[str], *, none: str = "<none>") -> Iterator[Line]:
    if len(values) <= 1:
        yield 0, label, values[0] if values else none
        return
    yield 0, label, ""
    for value in values:
        yield 1, value, ""


def _nothing(item: Json) -> Iterator[Line]:
    yield from ()


def _pod(item: Json) -> Iterator[Line]:
    yield 0, "Node", text(item, "spec", "nodeName", default="<not placed yet>")
    yield 0, "Service account", text(item, "spec", "serviceAccountName", default="default")
    yield 0, "Status", text(item, "status", "phase", default="Pending")
    yield 0, "Ready", ready(item) or "<unknown>"
    if reason := text(item, "status", "message") or text(item, "status", "reason"):
        yield 0, "Reason", reason
    yield 0, "IPs", ", ".join(pod_ips(item)) or "<none yet>"
    yield 0, "Containers", ""
    for container in rows(item, "spec", "containers"):
        yield 1, text(container, "name"), ""
        if command := [*texts(container, "command"), *texts(container, "args")]:
            yield 2, "Command", " ".join(command)
        for found in rows(container, "ports"):
            name = text(found, "name")
            yield (
                2,
                "Port",
                f"{text(found, 'protocol', default='TCP')}/{text(found, 'containerPort')}"
                + (f" ({name})" if name else ""),
            )


def _service(item: Json) -> Iterator[Line]:
    yield 0, "Type", text(item, "spec", "type", default="ClusterIP")
    yield 0, "Cluster IPs", cluster_ips(item) or "<none yet>"
    yield 0, "Selector", labels(dig(item, "spec", "selector")) or "<none>"
    yield 0, "Ports", service_ports(item) or "<none>"


def _backend(entry: Json) -> str:
    """`10.1.0.2 TCP/8080 -> shop/web`."""
    ports = ",".join(f"{text(one, 'protocol')}/{text(one, 'port')}" for one in rows(entry, "ports"))
    return f"{text(entry, 'ip')} {ports} -> {text(entry, 'pod', default='<no pod>')}"


def _node(item: Json) -> Iterator[Line]:
    yield 0, "Pod CIDRs", ", ".join(texts(item, "spec", "podCIDRs")) or text(item, "spec", "podCIDR", default="<none>")
    addresses = [f"{text(entry, 'address')} ({text(entry, 'type')})" for entry in rows(item, "status", "addresses")]
    yield from _continued("Addresses", addresses)


def _deployment(item: Json) -> Iterator[Line]:
    wanted = text(item, "spec", "replicas", default="1")
    yield 0, "Replicas", f"{number(item, 'status', 'readyReplicas')} ready of {wanted}"
    yield 0, "Selector", selector(dig(item, "spec", "selector"))
    yield 0, "Pod labels", labels(dig(item, "spec", "template", "metadata", "labels")) or "<none>"


def _endpoint_slice(item: Json) -> Iterator[Line]:
    yield 0, "Service", text(item, "metadata", "labels", "kubernetes.io/service-name", default="<none>")
    yield 0, "Ports", ", ".join(port(entry) for entry in rows(item, "ports")) or "<none>"
    yield from _continued(
        "Endpoints",
        [
            f"{', '.join(texts(entry, 'addresses'))} -> {text(entry, 'targetRef', 'name', default='<no pod>')}"
            + ("" if text(entry, "conditions", "ready", default="true") == "true" else " (not ready)")
            for entry in rows(item, "endpoints")
        ],
    )


def _policy(item: Json) -> Iterator[Line]:
    yield 0, "Pods", selector(dig(item, "spec", "podSelector") or {})
    named = directions(item)
    yield 0, "Directions", ", ".join(named)
    for direction, peers, word in (("ingress", "from", "From"), ("egress", "to", "To")):
        found = rows(item, "spec", direction)
        if direction.capitalize() in named or found:
            yield 0, direction.capitalize(), "" if found else "nothing is allowed by this policy"
        for position, rule in enumerate(found):
            name = text(rule, "name")
            yield (
                1,
                f"{direction}[{position}] {text(rule, 'action', default='Allow')}" + (f" ({name})" if name else ""),
                "",
            )
            yield 2, word, "; ".join(peer(entry) for entry in rows(rule, peers)) or "anyone"
            yield 2, "Ports", ", ".join(port(entry) for entry in rows(rule, "ports")) or "every port"
            for entry in rows(rule, "http"):
                yield 2, "HTTP", http(entry)


def _config(item: Json) -> Iterator[Line]:
    for key, value in table(item, "spec").items():
        yield 0, key, text({"value": value}, "value") or str(value)


_BODY: dict[str, Callable[[Json], Iterator[Line]]] = {
    "Pod": _pod,
    "Service": _service,
    "Node": _node,
    "Deployment": _deployment,
    "EndpointSlice": _endpoint_slice,
    "NetworkPolicy": _policy,
    "MeshPolicy": _policy,
    "MeshConfig": _config,
}
