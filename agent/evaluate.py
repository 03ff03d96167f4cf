"""Which live flows policy no longer allows. Pure.

The kernel asks again by itself when a packet comes; this finds the flows on which none comes. A flow through the proxy
is the proxy's: it re-authorises by its own view and closes what is no longer allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.datapath.tables import CtEntry, CtKey, EndpointEntry
from agent.moves import Cover
from mesh.layouts import CT_PROXIED, CT_UPSTREAM
from mesh.model import Direction, IdentityId, PolicySet, Protocol, ReservedIdentity, Verdict
from mesh.policy.chains import Chain, ChainKey, compile_chains, lookup, verdict

TCP_OR_UDP = frozenset({int(Protocol.TCP), int(Protocol.UDP)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is in force now."""

    endpoints: Mapping[int, EndpointEntry]
    policies: Mapping[int, PolicySet]
    """By endpoint."""
    cover: Cover


@dataclass(frozen=True, slots=True)
class Condemned:
    """A live flow that must end: the pod's socket is destroyed, which resets both sides."""

    key: CtKey
    reason: str


def condemned(flows: Iterable[tuple[CtKey, CtEntry]], question: Question) -> list[Condemned]:
    """Direct flows made under an older epoch whose verdict is no longer a plain allow."""
    compiled: dict[int, Mapping[ChainKey, Chain]] = {}
    found: list[Condemned] = []
    for key, entry in flows:
        endpoint = question.endpoints.get(key.endpoint)
        if endpoint is None or entry.epoch == endpoint.epoch or entry.flags & (CT_PROXIED | CT_UPSTREAM):
            continue
        if key.protocol not in TCP_OR_UDP:
            continue
        direction = Direction(key.direction)
        peer = key.destination if direction is Direction.EGRESS else key.source
        if peer in (endpoint.addr4, endpoint.addr6):
            continue
        identity = question.cover.of(peer)
        if identity == ReservedIdentity.HOST:
            continue
        policy = question.policies.get(key.endpoint)
        if policy is None:
            found.append(Condemned(key, "the pod has no policy any more"))
            continue
        if key.endpoint not in compiled:
            compiled[key.endpoint] = compile_chains(policy)
        flags, _, _ = lookup(compiled[key.endpoint], direction, IdentityId(identity), key.protocol, key.dport)
        now, needs_l7 = verdict(flags)
        if now is Verdict.DENY or identity == ReservedIdentity.UNKNOWN:
            found.append(Condemned(key, "policy no longer allows it"))
        elif needs_l7:
            found.append(Condemned(key, "it now needs the proxy"))
    return found
