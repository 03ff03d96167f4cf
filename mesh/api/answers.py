"""The JSON documents that the command line prints: their keys are promised to scripts (camelCase, stable).

Pure: types of `mesh.model` in, plain dicts out. Pods, services and policies are written `namespace/name`, times as
RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mesh.model import (
    Decision,
    FlowRecord,
    HalfDecision,
    HttpMatch,
    Identity,
    Match,
    Party,
    PortRange,
    Protocol,
    RuleRef,
)
from mesh.objects.errors import Problem

Json = dict[str, Any]

_SECOND_NS = 1_000_000_000
_BARE = frozenset({Match.PRESENT, Match.ABSENT})


def time_to_json(time_ns: int) -> str:
    """RFC 3339 with nanoseconds: 2026-01-02T03:04:05.000000006Z."""
    seconds, rest = divmod(time_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def rule_ref_to_json(ref: RuleRef) -> Json:
    """One entry of `decidedBy`: without `rule` the policy as a whole is meant (default deny), and it has no action."""
    answer: Json = {"policy": ref.policy, "kind": ref.kind, "rule": ref.rule}
    if ref.rule:
        answer["action"] = ref.action.value
    if ref.name:
        answer["name"] = ref.name
    return answer


def flow_to_json(flow: FlowRecord) -> Json:
    """One line of `weft observe -o jsonl`."""
    answer: Json = {
        "id": flow.id,
        "time": time_to_json(flow.time_ns),
        "node": flow.node,
        "direction": flow.direction.name.lower(),
        "verdict": flow.verdict.value,
        "layer": flow.layer.value,
        "protocol": flow.protocol.name,
        "from": _party_to_json(flow.source),
        "to": _party_to_json(flow.destination),
        "service": flow.service,
        "dropReason": flow.drop_reason,
        "policies": list(dict.fromkeys(ref.policy for ref in flow.rules)),
        "rule": next((ref.rule for ref in flow.rules if ref.rule), ""),
        "decidedBy": [rule_ref_to_json(ref) for ref in flow.rules],
        "count": flow.count,
    }
    if flow.http is not None:
        answer["http"] = {
            "method": flow.http.method,
            "path": flow.http.path,
            "status": flow.http.status,
            "host": flow.http.host,
        }
    return answer


def half_to_json(half: HalfDecision | None) -> Json | None:
    """One direction of a decision; None where that side enforces nothing."""
    if half is None:
        return None
    return {
        "verdict": half.verdict.value,
        "layer": half.layer.value,
        "needsL7": half.needs_l7,
        "default": half.default,
        "decidedBy": [rule_ref_to_json(ref) for ref in half.decided_by],
    }


def decision_to_json(decision: Decision, *, source: Json, destination: Json) -> Json:
    """The answer of `weft policy check`. `source` and `destination` say what the question's words were taken for."""
    return {
        "verdict": decision.verdict.value,
        "layer": decision.layer.value,
        "decidedBy": [rule_ref_to_json(ref) for ref in decision.decided_by],
        "egress": half_to_json(decision.egress),
        "ingress": half_to_json(decision.ingress),
        "needsL7": decision.needs_l7,
        "message": decision.message,
        "from": source,
        "to": destination,
    }


def identity_to_json(identity: Identity) -> Json:
    """One row of `weft identity list`, and how peers are shown in `weft policy show`."""
    answer: Json = {
        "id": int(identity.id),
        "kind": identity.kind.value,
        "namespace": identity.namespace,
        "serviceAccount": identity.service_account,
        "labels": dict(identity.labels),
        "namespaceLabels": dict(identity.namespace_labels),
        "entities": sorted(identity.entities),
        "blocks": sorted(str(block) for block in identity.blocks),
        "namedPorts": [
            {"name": name, "protocol": protocol.name, "port": port} for name, protocol, port in identity.named_ports
        ],
    }
    if identity.prefix is not None:
        answer["prefix"] = str(identity.prefix)
    return answer


def ports_to_json(ports: PortRange) -> Json:
    """`port` and `endPort` as a policy writes them; neither where every port is meant."""
    answer: Json = {"protocol": ports.protocol.name}
    if (ports.low, ports.high) != (0, 65535):
        answer["port"] = ports.low
        if ports.high != ports.low:
            answer["endPort"] = ports.high
    return answer


def http_match_to_json(match: HttpMatch) -> Json:
    """An entry of `http:` as its author wrote it."""
    answer: Json = {}
    if match.methods:
        answer["methods"] = list(match.methods)
    if match.paths:
        answer["paths"] = [{path.match.value: path.value} for path in match.paths]
    if match.hosts:
        answer["hosts"] = list(match.hosts)
    if match.headers:
        answer["headers"] = [
            {"name": header.name, header.match.value: True if header.match in _BARE else header.value}
            for header in match.headers
        ]
    return answer


def problem_to_json(problem: Problem) -> Json:
    return {
        "file": problem.file,
        "object": problem.object,
        "field": problem.field,
        "reason": problem.reason,
        "line": problem.line,
    }


def protocol_of(text: str) -> Protocol:
    """The protocol that a person names; ValueError lists those there are. Empty means TCP, as in Kubernetes."""
    try:
        return Protocol[(text or "TCP").upper()]
    except KeyError:
        names = ", ".join(protocol.name for protocol in Protocol if protocol is not Protocol.ANY)
        raise ValueError(f"{text[:40]!r} is not a protocol (one of {names})") from None


def _party_to_json(party: Party) -> Json:
    return {
        "namespace": party.namespace,
        "pod": party.pod,
        "serviceAccount": party.service_account,
        "identity": int(party.identity),
        "ip": party.ip,
        "port": party.port,
    }
