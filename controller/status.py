"""The answer of `weft status`: pure, from what the other rooms hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from controller.directory import DirectorySource
from controller.errors import BadQuestion
from controller.fleet import Fleet
from controller.intent import Intent
from controller.publisher import Publisher
from controller.store import StoredNode
from mesh.api.answers import problem_to_json
from mesh.api.features import VERSION
from mesh.model import Revision

Json = dict[str, Any]


def status(
    intent: Intent,
    publisher: Publisher,
    fleet: Fleet,
    source: DirectorySource | None,
    joined: Mapping[str, StoredNode],
    *,
    started: str,
) -> Json:
    """Everything at a glance. `settled`: every node that has joined enforces the newest revision.

    `started`: when this controller did, which remembers of agents only what it has heard itself.
    """
    rows = [_node(node, fleet, intent.revision, started) for _, node in sorted(joined.items())]
    served = publisher.view is not None and publisher.view.revision == intent.revision
    return {
        "controller": _controller(intent, publisher, source),
        "nodes": rows,
        "objects": _kinds(intent),
        "settled": served and all(row["state"] == "connected" and row["lag"] == 0 for row in rows),
    }


def check_node(name: str, intent: Intent, joined: Iterable[str]) -> None:
    """A misspelt name is not a node that is away: BadQuestion names those there are."""
    known = {*joined, *(called for kind, _, called in intent.entries if kind == "Node")}
    if name not in known:
        raise BadQuestion(f"there is no node {name!r}; there are: {', '.join(sorted(known)) or 'none'}")


def _controller(intent: Intent, publisher: Publisher, source: DirectorySource | None) -> Json:
    state = "starting" if publisher.view is None else "running"
    answer: Json = {"version": VERSION, "revision": intent.revision, "state": state}
    if publisher.view is not None:
        answer["servedRevision"] = publisher.view.revision
        answer["warnings"] = list(publisher.view.policy.warnings)
    if publisher.failure is not None:
        answer["state"] = "degraded"
        answer["buildError"] = {"revision": publisher.failure.revision, "reason": publisher.failure.reason}
    if source is not None and source.warnings:
        answer["sourceWarnings"] = [str(warning) for warning in source.warnings]
    if source is not None and source.problems:
        answer["state"] = "degraded"
        answer["sourceError"] = str(source.problems[0])
        answer["sourceErrors"] = [problem_to_json(problem) for problem in source.problems]
    return answer


def _node(node: StoredNode, fleet: Fleet, newest: Revision, started: str) -> Json:
    name = node.name
    link = fleet.links.get(name)
    acked = fleet.acked(name)
    age = fleet.age_s(name)
    row: Json = {
        "name": name,
        "state": "connected" if link is not None else "away",
        "revision": newest,
        "ackedRevision": acked,
        "enforcedRevision": acked,
        "lag": max(0, newest - acked),
        "ageSeconds": None if age is None else round(age, 3),
        "joined": node.joined,
        "neverSeen": age is None and node.joined >= started,
        "endpoints": 0,
        "endpointsEnforced": 0,
        "proxyWorkers": 0,
        "warnings": [],
    }
    if link is None:
        return row
    report = link.report
    warnings = list(report.warnings)
    if link.session.refusal is not None:
        warnings.append(f"refused revision {link.session.refusal.revision}: {link.session.refusal.reason}")
    row |= {
        "agentState": report.state,
        # An ack says the same; a node that was restarted reports what its kernel still enforces.
        "enforcedRevision": max(acked, report.enforced),
        "endpoints": report.endpoints,
        "endpointsEnforced": report.endpoints_enforced,
        "proxyWorkers": report.proxy_workers,
        "warnings": warnings,
    }
    return row


def _kinds(intent: Intent) -> Mapping[str, int]:
    return dict(sorted(Counter(kind for kind, _, _ in intent.entries).items()))
