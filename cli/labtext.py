"""The answer of `lab status` as tables. Pure."""

from __future__ import annotations

from cli.columns import STATES as PHASES
from cli.document import Json, rows, text, texts
from cli.grid import Column, render

STATES = {"running": "green", "starting": "yellow", "backoff": "red"}

COMPONENTS = (
    Column(header="COMPONENT", value=lambda row: text(row, "component")),
    Column(header="NODE", value=lambda row: text(row, "node")),
    Column(header="STATE", value=lambda row: text(row, "state"), colours=STATES),
    Column(header="PID", right=True, value=lambda row: text(row, "pid")),
    Column(header="WORKERS", value=lambda row: ",".join(texts(row, "workers"))),
    Column(header="RESTARTS", right=True, wide=True, value=lambda row: text(row, "restarts")),
)
PODS = (
    Column(header="NAMESPACE", value=lambda row: text(row, "namespace")),
    Column(header="POD", value=lambda row: text(row, "name")),
    Column(header="NODE", value=lambda row: text(row, "node")),
    Column(header="PHASE", value=lambda row: text(row, "phase"), colours=PHASES),
    Column(header="IP", value=lambda row: (texts(row, "ips") or [""])[0]),
    Column(header="IPS", wide=True, value=lambda row: ",".join(texts(row, "ips"))),
)


def shown(answer: Json, *, lab: str, colour: bool, width: int | None, wide: bool = False) -> str:
    parts = [
        f"Lab {lab}",
        "",
        render(COMPONENTS, rows(answer, "components"), wide=wide, width=width, colour=colour),
    ]
    if pods := rows(answer, "pods"):
        parts += ["", render(PODS, pods, wide=wide, width=width, colour=colour)]
    return "\n".join(parts)


def names(answer: Json) -> list[str]:
    """Pods as `ns/name`, for `-o name`."""
    return [f"{text(pod, 'namespace')}/{text(pod, 'name')}" for pod in rows(answer, "pods")]
