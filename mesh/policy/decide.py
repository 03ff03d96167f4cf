"""THE semantics: a flow, its source's egress policy and its destination's ingress policy give a verdict with reasons.

The kernel's chains (`mesh.policy.chains`), the proxy (`mesh.policy.http`) and every simulation are held to this
function by property tests. Precedence within a direction:

    plain Deny > HTTP Deny that matches > plain Allow > HTTP Allow that matches > the direction's default
"""

from __future__ import annotations

from mesh.model import (
    Decision,
    DirectionPolicy,
    FlowQuery,
    HalfDecision,
    IdentityId,
    Layer,
    ReservedIdentity,
    Verdict,
)
from mesh.policy.http import HttpHalf, prepare
from mesh.policy.reasons import allowed, denied

_HOST = IdentityId(ReservedIdentity.HOST)
_UNKNOWN = IdentityId(ReservedIdentity.UNKNOWN)
_ALWAYS = HttpHalf(settled=HalfDecision(verdict=Verdict.ALLOW, layer=Layer.L3L4, needs_l7=False))
_NEVER = HttpHalf(settled=HalfDecision(verdict=Verdict.DENY, layer=Layer.L3L4, needs_l7=False))


def decide(query: FlowQuery, *, egress: DirectionPolicy | None, ingress: DirectionPolicy | None) -> Decision:
    """The verdict on a flow. `egress` is the source's policy, `ingress` the destination's; None where not enforced."""
    if query.same_pod:
        return Decision(
            verdict=Verdict.ALLOW, layer=Layer.L3L4, needs_l7=False, decided_by=(), egress=None, ingress=None,
            message="Allowed: a pod may always talk to itself.",
        )  # fmt: skip
    halves = _half(query, egress, query.destination), _half(query, ingress, query.source)
    return combine(*halves, request_seen=query.request is not None)


def _half(query: FlowQuery, policy: DirectionPolicy | None, peer: IdentityId) -> HalfDecision | None:
    return None if policy is None else half(policy, peer, query.protocol, query.port).decide(query.request)


def half(policy: DirectionPolicy, peer: IdentityId, protocol: int, port: int) -> HttpHalf:
    """One direction's verdict on a peer and a port, to be asked about requests."""
    if peer == _HOST:
        return _ALWAYS
    if peer == _UNKNOWN:
        return _NEVER
    return prepare(policy, peer, protocol, port)


def combine(egress: HalfDecision | None, ingress: HalfDecision | None, *, request_seen: bool = True) -> Decision:
    """One verdict of two halves: what L4 denies is denied first, and the source's side before the destination's."""
    halves = [(word, half) for word, half in (("egress", egress), ("ingress", ingress)) if half is not None]
    denials = [(word, half) for word, half in halves if half.verdict is Verdict.DENY]
    denials.sort(key=lambda item: item[1].layer is Layer.L7)
    if denials:
        word, half = denials[0]
        return Decision(
            verdict=Verdict.DENY,
            layer=half.layer,
            needs_l7=half.needs_l7,
            decided_by=half.decided_by,
            egress=egress,
            ingress=ingress,
            message=denied(word, half),
        )
    needs_l7 = any(half.needs_l7 for _, half in halves)
    return Decision(
        verdict=Verdict.ALLOW,
        layer=Layer.L7 if needs_l7 else Layer.L3L4,
        needs_l7=needs_l7,
        decided_by=tuple(dict.fromkeys(ref for _, half in halves for ref in half.decided_by)),
        egress=egress,
        ingress=ingress,
        message=allowed(halves, each_request=needs_l7 and not request_seen),
    )
