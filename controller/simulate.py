"""Questions about policy that nobody has to send a packet for: `weft policy check` and `weft policy show`.

Pure: one revision in, the answer in JSON out. The verdict is that of `mesh.policy.decide`, the same that kernel and
proxy are held to. Where the words of a question stand for several flows (backends, families), all are decided; where
they do not agree the strictest is the answer, and the others are listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from controller.errors import BadQuestion
from controller.intent import Intent
from controller.question import PODS_SHOWN, Directory, End, no_pod
from controller.snapshot import ClusterView
from mesh.api.answers import (
    decision_to_json,
    http_match_to_json,
    identity_to_json,
    ports_to_json,
    protocol_of,
    rule_ref_to_json,
)
from mesh.api.codec_question import CheckQuestion
from mesh.model import (
    Decision,
    DirectionPolicy,
    FlowQuery,
    Grant,
    HttpRequest,
    IdentityId,
    Layer,
    Protocol,
    ReservedIdentity,
    ResolvedRule,
    Verdict,
)
from mesh.policy.decide import decide
from mesh.policy.http import AmbiguousPath, normalize_host, normalize_path

Json = dict[str, Any]

_HOST = IdentityId(ReservedIdentity.HOST)


@dataclass(frozen=True, slots=True)
class _Case:
    """One flow that the question stands for."""

    source: End
    destination: End
    decision: Decision

    @property
    def strictness(self) -> tuple[bool, bool]:
        return self.decision.verdict is Verdict.DENY, self.decision.needs_l7

    def json(self) -> Json:
        return decision_to_json(self.decision, source=self.source.json(), destination=self.destination.json())


def check(view: ClusterView, intent: Intent, question: CheckQuestion) -> Json:
    """The verdict with its reasons. Raises BadQuestion or NoSuchThing."""
    try:
        protocol = protocol_of(question.protocol)
    except ValueError as error:
        raise BadQuestion(str(error)) from None
    directory = Directory(view, intent)
    sources = directory.source(question.source)
    destinations = directory.destination(question.destination, question.port, question.port_name, protocol)
    request, ambiguous = None, ""
    if question.speaks_of_a_request:
        if protocol is not Protocol.TCP:
            raise BadQuestion("method, path, host and headers go with protocol tcp")
        try:
            request = _request(question)
        except AmbiguousPath as error:
            ambiguous = str(error)
    cases = [
        _Case(source, destination, _decide(source, destination, protocol, request))
        for source in sources
        for destination in destinations
        if not source.version or not destination.version or source.version == destination.version
    ]
    if not cases:
        raise BadQuestion(f"{question.source} and {question.destination} have no address family in common")
    if ambiguous:
        cases = [_Case(case.source, case.destination, _refused(case.decision, ambiguous)) for case in cases]
    return _answer(cases)


def _answer(cases: list[_Case]) -> Json:
    strictest = max(cases, key=lambda case: case.strictness)
    answer = strictest.json()
    different = [case for case in cases if case.strictness != strictest.strictness]
    if len(cases) > 1:
        answer["cases"] = [case.json() for case in cases]
    if blocks := _blocks(strictest) if different else ():
        # Which part is which would be a list of prefixes that nobody asked about.
        answer["message"] = f"Not all of {' and '.join(blocks)} fares alike: ask about one pod or address in it."
    elif different:
        others = ", ".join(sorted({f"{case.destination.address} {case.decision.verdict.value}" for case in different}))
        answer["message"] += f" Not all that is asked about agrees: {others}."
    return answer


def _blocks(case: _Case) -> tuple[str, ...]:
    """The ends that are prefixes rather than one address."""
    return tuple(end.address for end in (case.source, case.destination) if "/" in end.address)


def _decide(source: End, destination: End, protocol: Protocol, request: HttpRequest | None) -> Decision:
    query = FlowQuery(
        source=_seen_from(source, destination),
        destination=_seen_from(destination, source),
        protocol=protocol,
        port=destination.port,
        request=request,
        same_pod=source.pod is not None and destination.pod is not None and source.pod.key == destination.pod.key,
    )
    return decide(query, egress=_policy(source, "egress"), ingress=_policy(destination, "ingress"))


def _seen_from(end: End, other: End) -> IdentityId:
    """A node is the host for its own pods."""
    return _HOST if end.node and other.pod is not None and other.pod.node == end.node else end.identity


def _policy(end: End, direction: str) -> DirectionPolicy | None:
    if end.pod is None or not end.pod.enforced:
        return None
    return end.pod.policy.egress if direction == "egress" else end.pod.policy.ingress


def _request(question: CheckQuestion) -> HttpRequest:
    return HttpRequest(
        method=question.method or "GET",
        path=normalize_path((question.path or "/").encode()),
        host=normalize_host(question.host),
        headers=tuple((name.lower(), _as_received(value)) for name, value in question.headers),
    )


def _as_received(value: str) -> str:
    """A header value as the proxy reads what a client sends for it: UTF-8, each byte taken for a character."""
    return value.strip(" \t").encode().decode("latin-1")


def _refused(decision: Decision, reason: str) -> Decision:
    """What the proxy says to a path that it does not read; where no proxy is on the way, L4 decides alone."""
    if decision.verdict is Verdict.DENY or not decision.needs_l7:
        return decision
    message = f"Denied: the proxy answers 400, because {reason}."
    return replace(decision, verdict=Verdict.DENY, layer=Layer.L7, message=message)


def identities(view: ClusterView) -> Json:
    """Every identity, and the pods that have it."""
    pods: dict[IdentityId, list[str]] = {}
    for pod in view.policy.pods.values():
        for number in dict.fromkeys(identity for _, identity in pod.addresses):
            pods.setdefault(number, []).append(pod.key)
    rows = [
        {**identity_to_json(identity), "pods": pods.get(number, [])}
        for number, identity in sorted(view.identities.items())
    ]
    return {"identities": rows, "revision": view.revision}


def show(view: ClusterView, namespace: str, name: str) -> Json:
    """The policy of one pod, resolved. Raises NoSuchThing."""
    pod = view.policy.pods.get(f"{namespace}/{name}")
    if pod is None:
        raise no_pod(view, f"there is no pod {namespace}/{name} that runs", f"{namespace}/{name}")
    owners: dict[IdentityId, list[str]] = {}
    for other in view.policy.pods.values():
        for _, identity in other.addresses:
            owners.setdefault(identity, []).append(other.key)
    selecting = dict.fromkeys(
        (ref.kind, ref.policy)
        for direction in (pod.policy.egress, pod.policy.ingress)
        for ref in (*direction.selected_by, *(rule.ref for rule in direction.rules))
    )
    return {
        "namespace": pod.namespace,
        "pod": pod.name,
        "node": pod.node,
        "serviceAccount": pod.service_account,
        "enforced": pod.enforced,
        "policySet": pod.policy.key,
        "addresses": [{"ip": str(address), "identity": int(identity)} for address, identity in pod.addresses],
        "policies": [{"kind": kind, "policy": policy} for kind, policy in selecting],
        "egress": _direction(view, pod.policy.egress, owners),
        "ingress": _direction(view, pod.policy.ingress, owners),
        "revision": view.revision,
    }


def _direction(view: ClusterView, direction: DirectionPolicy, owners: dict[IdentityId, list[str]]) -> Json:
    return {
        "defaultDeny": direction.default_deny,
        "selectedBy": [rule_ref_to_json(ref) for ref in direction.selected_by],
        "rules": [_rule(view, rule, owners) for rule in direction.rules],
    }


def _rule(view: ClusterView, rule: ResolvedRule, owners: dict[IdentityId, list[str]]) -> Json:
    answer = rule_ref_to_json(rule.ref)
    answer["action"] = rule.action.value
    answer["grants"] = [_grant(view, grant, owners) for grant in rule.grants]
    if rule.http is not None:
        answer["http"] = [http_match_to_json(match) for match in rule.http]
    return answer


def _grant(view: ClusterView, grant: Grant, owners: dict[IdentityId, list[str]]) -> Json:
    answer: Json = {"ports": [ports_to_json(ports) for ports in grant.ports]}
    if grant.peers is not None:
        answer["peers"] = [_peer(view, number, owners.get(number, ())) for number in sorted(grant.peers)]
    return answer


def _peer(view: ClusterView, number: IdentityId, pods: Iterable[str]) -> Json:
    identity = view.identities.get(number)
    answer: Json = {"id": int(number)} if identity is None else identity_to_json(identity)
    names = sorted(set(pods))
    if names:
        answer["pods"] = names[:PODS_SHOWN]
        answer["podCount"] = len(names)
    return answer
