"""The words of weft, as frozen types.

Every program speaks of identities, rules, endpoints and flows in these types and in no others: Kubernetes objects
become them in `mesh.objects` and `mesh.policy`, protobuf messages become them in `mesh.api.codec`, map entries are
made from them in `agent.desired`. Ports and addresses are host values here; bytes are turned at the borders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NewType

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

IdentityId = NewType("IdentityId", int)
"""Number of an identity, the same on every node. See `ReservedIdentity` and the ranges below."""

Revision = NewType("Revision", int)
"""Position in the controller's history of intent; grows by one with each accepted change."""

PolicyKey = NewType("PolicyKey", str)
"""Names one `PolicySet` within a snapshot; equal policy has an equal key, so pods share sets."""


class ReservedIdentity(IntEnum):
    """Identities with a fixed meaning. The numbers leave the process and are never reused."""

    UNKNOWN = 0
    """An address inside the cluster's ranges that nobody has announced (yet). Never allowed, dropped silently."""
    HOST = 1
    """The node that this program runs on. Always allowed to and from its own pods (Kubernetes' rule)."""
    WORLD = 2
    """Any address that no more specific prefix explains."""
    REMOTE_NODE = 3
    HEALTH = 4
    KUBE_APISERVER = 5


ANY_IDENTITY = IdentityId(0xFFFF_FFFF)
"""Not an identity: the chain of policy entries that hold for every peer."""

FIRST_POD_IDENTITY = 256
FIRST_ADDRESS_IDENTITY = 1 << 24
"""Pods get numbers from 256 up; prefixes outside the cluster that policies name, from 2**24 up."""


class Direction(IntEnum):
    """Seen from the workload: egress leaves it, ingress enters it. The numbers are those of the policy map."""

    EGRESS = 0
    INGRESS = 1


class Protocol(IntEnum):
    """IANA protocol numbers; ANY is the wildcard of a rule and never stands in a packet."""

    ANY = 0
    ICMP = 1
    TCP = 6
    UDP = 17
    ICMPV6 = 58
    SCTP = 132


class Action(Enum):
    ALLOW = "Allow"
    DENY = "Deny"


class Verdict(Enum):
    ALLOW = "allow"
    DENY = "deny"
    DRYRUN = "dryrun"


class Layer(Enum):
    L3L4 = "L3L4"
    L7 = "L7"


_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """`spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, parsed once (SPIFFE-ID specification, section 2)."""

    trust_domain: str
    namespace: str
    service_account: str

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Read a workload's SPIFFE ID; ValueError says what is wrong with it."""
        scheme, _, rest = text.partition("://")
        parts = rest.split("/")
        if scheme != "spiffe" or len(parts) != 5 or parts[1] != "ns" or parts[3] != "sa":
            raise ValueError(f"{text!r} is not of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT")
        trust_domain, _, namespace, _, account = parts
        if not _TRUST_DOMAIN.fullmatch(trust_domain):
            raise ValueError(f"{text!r}: {trust_domain!r} is not a trust domain (lower-case letters, digits, . _ -)")
        if not _DNS_LABEL.fullmatch(namespace) or not _DNS_SUBDOMAIN.fullmatch(account):
            raise ValueError(f"{text!r}: namespace and account must be Kubernetes names")
        return cls(trust_domain, namespace, account)

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


class IdentityKind(Enum):
    RESERVED = "reserved"
    POD = "pod"
    NODE = "node"
    """Addresses of nodes that some ipBlock tells apart from other nodes."""
    ADDRESS = "address"
    """A prefix outside the cluster that some policy names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What policy speaks about: everything that can make two peers differ for a rule, and nothing else."""

    id: IdentityId
    kind: IdentityKind
    namespace: str = ""
    service_account: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """The pod's labels that count, sorted."""
    namespace_labels: tuple[tuple[str, str], ...] = ()
    entities: frozenset[str] = frozenset()
    """Of host, world, cluster, remote-node, kube-apiserver: those that it belongs to."""
    blocks: frozenset[Prefix] = frozenset()
    """The ipBlock prefixes in use (cidr and except) that contain the address."""
    named_ports: tuple[tuple[str, Protocol, int], ...] = ()
    """Container ports that have a name: (name, protocol, port), sorted."""
    prefix: Prefix | None = None
    """For kind ADDRESS: the prefix that it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRef:
    """Where a verdict comes from: stable enough to show to a person and to find the line in a manifest."""

    policy: str
    """`namespace/name` of the policy object."""
    kind: str
    """NetworkPolicy or MeshPolicy."""
    rule: str = ""
    """Path in the spec, `ingress[0]`; empty where the policy as a whole is meant (default deny)."""
    name: str = ""
    """The rule's own name, where its author gave one."""
    action: Action = Action.ALLOW


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports `low` to `high`, both included, of one protocol. ANY protocol goes with 0 to 65535 alone."""

    protocol: Protocol
    low: int = 0
    high: int = 65535

    def covers(self, protocol: int, port: int) -> bool:
        return self.protocol in (Protocol.ANY, protocol) and self.low <= port <= self.high


EVERY_PORT = PortRange(Protocol.ANY)


class Match(Enum):
    """How a path or a header value is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class PathMatch:
    match: Match
    """EXACT, PREFIX (by path element) or REGEX (RE2, the whole path)."""
    value: str


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    name: str
    """Lower case."""
    match: Match
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMatch:
    """One entry of `http:`. Everything given must match; an empty list asks nothing."""

    methods: tuple[str, ...] = ()
    paths: tuple[PathMatch, ...] = ()
    hosts: tuple[str, ...] = ()
    """Lower case, without port."""
    headers: tuple[HeaderMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """Peers that a rule names, on ports that it names. A named port of an egress rule gives one grant per number."""

    peers: frozenset[IdentityId] | None
    """None: every peer."""
    ports: tuple[PortRange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRule:
    """One rule of one policy, with selectors resolved to identities: the form that is decided, shipped and compiled."""

    ref: RuleRef
    action: Action
    grants: tuple[Grant, ...]
    http: tuple[HttpMatch, ...] | None = None
    """None: the whole port. Otherwise the rule speaks of matching requests only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionPolicy:
    """All that is decided about one direction of a pod."""

    default_deny: bool = False
    selected_by: tuple[RuleRef, ...] = ()
    """The policies that make it default deny: the reason of a verdict that no rule explains."""
    rules: tuple[ResolvedRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """The policy of every pod whose policy is equal."""

    key: PolicyKey
    egress: DirectionPolicy = field(default_factory=DirectionPolicy)
    ingress: DirectionPolicy = field(default_factory=DirectionPolicy)

    def towards(self, direction: Direction) -> DirectionPolicy:
        return self.egress if direction is Direction.EGRESS else self.ingress


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What policy sees of a request."""

    method: str
    path: str
    """Without query, unreserved characters decoded; anything ambiguous was refused before (400)."""
    host: str
    """Lower case, without port."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case, in the order received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowQuery:
    """A question to `decide`. Identities may be those of pods, nodes or prefixes."""

    source: IdentityId
    destination: IdentityId
    protocol: Protocol
    port: int
    """Destination port after service translation; 0 for ICMP."""
    request: HttpRequest | None = None
    same_pod: bool = False
    """A pod and itself: always allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfDecision:
    """What one direction says."""

    verdict: Verdict
    layer: Layer
    needs_l7: bool
    """The verdict depends on the request (and `request` was not given), or was made by looking at it."""
    decided_by: tuple[RuleRef, ...] = ()
    """The rules that decided; for a default deny the policies behind it; empty where no policy selects the pod."""
    default: bool = False
    """No rule matched: the direction's default decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict on a flow with its reasons. A half is None where that direction is not enforced."""

    verdict: Verdict
    layer: Layer
    needs_l7: bool
    decided_by: tuple[RuleRef, ...]
    egress: HalfDecision | None
    ingress: HalfDecision | None
    message: str
    """One sentence for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One end of a recorded flow."""

    namespace: str = ""
    pod: str = ""
    service_account: str = ""
    identity: IdentityId = IdentityId(0)
    ip: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRecord:
    method: str
    path: str
    status: int
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRecord:
    """One line of `weft observe`: what happened, and who decided."""

    id: str
    time_ns: int
    """Wall clock, nanoseconds since the epoch."""
    node: str
    direction: Direction
    verdict: Verdict
    layer: Layer
    protocol: Protocol
    source: Party
    destination: Party
    service: str = ""
    drop_reason: str = ""
    """Name of the reason, empty for an allow."""
    rules: tuple[RuleRef, ...] = ()
    """Who decided; for a default deny the policies behind it."""
    http: HttpRecord | None = None
    count: int = 1
    """How many equal events this record stands for."""
