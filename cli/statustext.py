"""The answer of `status` in words: the controller, the nodes, and what keeps the cluster from being settled. Pure."""

from __future__ import annotations

from cli.document import Json, dig, number, rows, table, text, texts
from cli.grid import Column, hanging, paint, render
from cli.spans import age

INDENT = 12
STATES = {"connected": "green", "away": "red", "yes": "green", "no": "yellow"}


NODES = (
    Column(header="NODE", value=lambda row: text(row, "name"), shrink=True),
    Column(header="STATE", value=lambda row: text(row, "state"), colours=STATES),
    Column(header="ENFORCED", right=True, value=lambda row: text(row, "enforcedRevision")),
    Column(header="NEWEST", right=True, value=lambda row: text(row, "revision")),
    Column(header="LAG", right=True, value=lambda row: text(row, "lag")),
    Column(
        header="ENDPOINTS",
        right=True,
        value=lambda row: f"{number(row, 'endpointsEnforced')}/{number(row, 'endpoints')}",
    ),
    Column(header="PROXY", right=True, value=lambda row: text(row, "proxyWorkers")),
    Column(header="SEEN", right=True, value=lambda row: seen(row)),
    Column(header="ACKED", right=True, wide=True, value=lambda row: text(row, "ackedRevision")),
    Column(header="AGENT", wide=True, value=lambda row: text(row, "agentState")),
)


def seen(node: Json) -> str:
    """How long ago the node was heard; nothing where the controller that would know it has been restarted since."""
    if dig(node, "ageSeconds") is not None:
        return f"{age(number(node, 'ageSeconds'))} ago"
    return "never" if text(node, "neverSeen") == "true" else ""


def absence(node: Json) -> str:
    """Of a node without a connection: since when, and what to do."""
    name, heard = text(node, "name"), seen(node)
    if heard == "never":
        return f"it has joined, but its agent was never seen; start it there, or: weft delete node {name}"
    since = f"last heard {heard}" if heard else "not heard since the controller started"
    return f"its agent is away, {since}; it enforces what it has; if it is gone for good: weft delete node {name}"


def settled(answer: Json) -> bool:
    return text(answer, "settled") == "true"


def missing(answer: Json) -> list[str]:
    """Why the cluster is not settled: one sentence for each node that is behind."""
    newest = number(answer, "controller", "revision")
    found = []
    if error := text(answer, "controller", "sourceError"):
        found.append(f"the controller's source is not read: {error}; what was read before stays in force")
    if reason := text(answer, "controller", "buildError", "reason"):
        found.append(f"the newest revision cannot be served: {reason}; the one before stays in force")
    nodes = rows(answer, "nodes")
    if not nodes and not settled(answer):
        found.append("no node has an agent")
    for node in nodes:
        name, enforced = text(node, "name"), number(node, "enforcedRevision")
        if text(node, "state") != "connected":
            found.append(f"node {name}: {absence(node)}")
        elif enforced < newest:
            found.append(f"node {name}: enforces revision {enforced}, the newest is {newest}")
        elif number(node, "endpointsEnforced") < number(node, "endpoints"):
            waiting = number(node, "endpoints") - number(node, "endpointsEnforced")
            found.append(f"node {name}: {waiting} of {number(node, 'endpoints')} endpoints are not enforced yet")
    return found or ([] if settled(answer) else ["the controller does not say why; ask again"])


def status(answer: Json, *, colour: bool, width: int | None, wide: bool = False) -> str:
    """Controller, verdict, nodes, warnings, objects."""
    controller = table(answer, "controller")
    word = "yes" if settled(answer) else "no"
    shown = paint(word, STATES[word]) if colour else word
    everyone = "every node enforces the newest revision" if rows(answer, "nodes") else "no node has joined"
    said = everyone if settled(answer) else missing(answer)[0]
    state = text(controller, "state", default="up")
    version, revision = (text(controller, key, default="?") for key in ("version", "revision"))
    lines = [f"Controller: {state}, version {version}, revision {revision}"]
    lines += hanging(f"Settled:    {word}, {said}", width, INDENT)
    lines[1] = lines[1].replace(word, shown, 1)
    for more in [] if settled(answer) else missing(answer)[1:]:
        lines += hanging(f"{'':<{INDENT}}{more}", width, INDENT)
    if settled(answer) and (error := text(controller, "sourceError")):
        lines.append(f"Source:     not read: {error}")
    counts = [f"{count} {kind}" for kind, count in table(answer, "objects").items()]
    if counts:
        # A count stays on the line of its kind.
        joined = ", ".join(count.replace(" ", "\xa0") for count in counts)
        lines += [line.replace("\xa0", " ") for line in hanging(f"Objects:    {joined}", width or 80, INDENT)]
    if rows(answer, "nodes"):
        lines += ["", render(NODES, rows(answer, "nodes"), wide=wide, width=width, colour=colour)]
    warnings = [
        f"{text(node, 'name')}: {warning}" for node in rows(answer, "nodes") for warning in texts(node, "warnings")
    ]
    warnings += [f"controller: {warning}" for warning in texts(controller, "warnings")]
    warnings += [f"source: {warning}" for warning in texts(controller, "sourceWarnings")]
    if warnings:
        lines += ["", "Warnings:"]
        for warning in warnings:
            lines += hanging(f"  {warning}", width, 4)
    return "\n".join(lines)
