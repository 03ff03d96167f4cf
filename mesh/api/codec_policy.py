"""Policy sets between model and messages.

A reader that took half of a rule would enforce something that nobody wrote, so everything that is unknown, doubled or
contradictory is refused and the whole set with it.
"""

from __future__ import annotations

from mesh.api import mesh_pb2 as pb
from mesh.api.codec_words import CodecError, port_from_pb, protocol_from_pb, word_from_pb
from mesh.model import (
    Action,
    DirectionPolicy,
    Grant,
    HeaderMatch,
    HttpMatch,
    IdentityId,
    Match,
    PathMatch,
    PolicyKey,
    PolicySet,
    PortRange,
    Protocol,
    ResolvedRule,
    RuleRef,
)

_PATH_MATCHES = frozenset({Match.EXACT, Match.PREFIX, Match.REGEX})


def rule_ref_to_pb(ref: RuleRef) -> pb.RuleRef:
    return pb.RuleRef(policy=ref.policy, kind=ref.kind, rule=ref.rule, name=ref.name, action=ref.action.value)


def rule_ref_from_pb(message: pb.RuleRef, field: str) -> RuleRef:
    if not message.policy:
        raise CodecError(f"{field}.policy", "is empty")
    return RuleRef(
        policy=message.policy,
        kind=message.kind,
        rule=message.rule,
        name=message.name,
        action=word_from_pb(Action, message.action, f"{field}.action"),
    )


def policy_set_to_pb(policy: PolicySet) -> pb.PolicySet:
    return pb.PolicySet(
        key=policy.key, egress=_direction_to_pb(policy.egress), ingress=_direction_to_pb(policy.ingress)
    )


def policy_set_from_pb(message: pb.PolicySet, field: str = "policy_set") -> PolicySet:
    if not message.key:
        raise CodecError(f"{field}.key", "is empty")
    return PolicySet(
        key=PolicyKey(message.key),
        egress=_direction_from_pb(message.egress, f"{field}.egress"),
        ingress=_direction_from_pb(message.ingress, f"{field}.ingress"),
    )


def _direction_to_pb(direction: DirectionPolicy) -> pb.DirectionPolicy:
    return pb.DirectionPolicy(
        default_deny=direction.default_deny,
        selected_by=[rule_ref_to_pb(ref) for ref in direction.selected_by],
        rules=[_rule_to_pb(rule) for rule in direction.rules],
    )


def _direction_from_pb(message: pb.DirectionPolicy, field: str) -> DirectionPolicy:
    return DirectionPolicy(
        default_deny=message.default_deny,
        selected_by=tuple(
            rule_ref_from_pb(ref, f"{field}.selected_by[{i}]") for i, ref in enumerate(message.selected_by)
        ),
        rules=tuple(_rule_from_pb(rule, f"{field}.rules[{i}]") for i, rule in enumerate(message.rules)),
    )


def _rule_to_pb(rule: ResolvedRule) -> pb.Rule:
    return pb.Rule(
        ref=rule_ref_to_pb(rule.ref),
        action=rule.action.value,
        grants=[_grant_to_pb(grant) for grant in rule.grants],
        has_http=rule.http is not None,
        http=[_http_to_pb(match) for match in rule.http or ()],
    )


def _rule_from_pb(message: pb.Rule, field: str) -> ResolvedRule:
    if message.http and not message.has_http:
        raise CodecError(f"{field}.http", "is given although has_http is false")
    return ResolvedRule(
        ref=rule_ref_from_pb(message.ref, f"{field}.ref"),
        action=word_from_pb(Action, message.action, f"{field}.action"),
        grants=tuple(_grant_from_pb(grant, f"{field}.grants[{i}]") for i, grant in enumerate(message.grants)),
        http=tuple(_http_from_pb(match, f"{field}.http[{i}]") for i, match in enumerate(message.http))
        if message.has_http
        else None,
    )


def _grant_to_pb(grant: Grant) -> pb.Grant:
    return pb.Grant(
        any_peer=grant.peers is None,
        peers=sorted(grant.peers or ()),
        ports=[pb.PortRange(protocol=ports.protocol, low=ports.low, high=ports.high) for ports in grant.ports],
    )


def _grant_from_pb(message: pb.Grant, field: str) -> Grant:
    if message.any_peer and message.peers:
        raise CodecError(f"{field}.peers", "is given although any_peer is true")
    peers = None if message.any_peer else frozenset(IdentityId(number) for number in message.peers)
    return Grant(peers, tuple(_ports_from_pb(ports, f"{field}.ports[{i}]") for i, ports in enumerate(message.ports)))


def _ports_from_pb(message: pb.PortRange, field: str) -> PortRange:
    protocol = protocol_from_pb(message.protocol, f"{field}.protocol", wildcard=True)
    low = port_from_pb(message.low, f"{field}.low", zero=True)
    high = port_from_pb(message.high, f"{field}.high", zero=True)
    if low > high:
        raise CodecError(field, f"{low} is above {high}")
    if protocol is Protocol.ANY and (low, high) != (0, 65535):
        raise CodecError(field, "any protocol goes with all ports alone")
    return PortRange(protocol, low, high)


def _http_to_pb(match: HttpMatch) -> pb.HttpMatch:
    return pb.HttpMatch(
        methods=match.methods,
        paths=[pb.PathMatch(match=path.match.value, value=path.value) for path in match.paths],
        hosts=match.hosts,
        headers=[
            pb.HeaderMatch(name=header.name, match=header.match.value, value=header.value) for header in match.headers
        ],
    )


def _http_from_pb(message: pb.HttpMatch, field: str) -> HttpMatch:
    for i, host in enumerate(message.hosts):
        if not host or host != host.lower():
            raise CodecError(f"{field}.hosts[{i}]", f"{host[:60]!r} must be a host in lower case")
    return HttpMatch(
        methods=tuple(message.methods),
        paths=tuple(_path_from_pb(path, f"{field}.paths[{i}]") for i, path in enumerate(message.paths)),
        hosts=tuple(message.hosts),
        headers=tuple(_header_from_pb(header, f"{field}.headers[{i}]") for i, header in enumerate(message.headers)),
    )


def _path_from_pb(message: pb.PathMatch, field: str) -> PathMatch:
    match = word_from_pb(Match, message.match, f"{field}.match")
    if match not in _PATH_MATCHES:
        raise CodecError(f"{field}.match", f"a path cannot be {match.value}")
    return PathMatch(match, message.value)


def _header_from_pb(message: pb.HeaderMatch, field: str) -> HeaderMatch:
    if not message.name or message.name != message.name.lower():
        raise CodecError(f"{field}.name", f"{message.name[:60]!r} must be a header name in lower case")
    return HeaderMatch(message.name, word_from_pb(Match, message.match, f"{field}.match"), message.value)
