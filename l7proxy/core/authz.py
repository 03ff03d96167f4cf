"""Who may send which request to whom: a Permit or a Denial, never neither.

One `Pair` stands for all connections between two addresses on one port under one revision of the policy. It prepares
both halves once and remembers its verdicts, because requests repeat: the usual request costs one dictionary lookup.
What was not asked before is held against the rules: of all but the path a pair remembers which rules are left, and
requests for which the same ones hold share their grounds. Only verdicts that flow records tell apart are remembered.
Forwarding takes a Permit (`client.ClientConnection._forward`), and only `Pair.judge` makes one.

A verdict also counts how often it was given, by status; `tally.Tallies` turns the counts into flow records.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from l7proxy.core.facts import ConnectionFacts
from l7proxy.core.prepared import Prepared
from l7proxy.core.refusal import RequestRefused
from l7proxy.core.request_head import RequestHead
from mesh.model import (
    Decision,
    Direction,
    DirectionPolicy,
    IdentityId,
    Layer,
    RuleRef,
    Verdict,
)
from mesh.policy.decide import combine
from mesh.policy.http import AmbiguousPath, Conditional, HttpHalf, Narrowed, normalize_path
from mesh.snapshot import PodEndpoint, ProxyView

Fields = tuple[tuple[bytes, bytes], ...]
"""Names and values as received."""

_NOBODY: tuple[RuleRef, ...] = ()


@dataclass(slots=True, eq=False)
class Crowd:
    """What `tally` knows of the requests that share grounds, since the last flow records."""

    ROOM: ClassVar[int] = 64
    """Different ones that get records of their own."""
    told_apart: int = 0
    """How many have."""
    others: dict[tuple[str, int], int] = field(default_factory=dict)
    """Method and status of the rest -> how often."""

    @property
    def full(self) -> bool:
        return self.told_apart >= self.ROOM


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grounds:
    """Why, for all requests of a pair for which the same rules hold."""

    pair: Pair
    rules: tuple[RuleRef, ...]
    """Those of both directions that allowed it; those that denied it, or for a default deny the policies behind it."""
    layer: Layer
    denied: bool
    direction: Direction
    """The half that denied; for an allow the last one that was asked."""
    reason: str
    """In the words of the kernel's records, empty for an allow."""
    crowd: Crowd = field(default_factory=Crowd)


class _OnRequest:
    """What flow records tell of a request and no more: a verdict waits for its record, the client's headers need not.

    A plain class with slots: one is made per request, a frozen dataclass costs three times."""

    __slots__ = ("counts", "grounds", "host", "method", "path")

    def __init__(self, grounds: Grounds, method: str, path: str, host: str) -> None:
        self.grounds = grounds
        self.method = method
        self.path = path
        """As policy compares it, its beginning where it is long."""
        self.host = host
        self.counts: dict[int, int] = {}
        """Status -> how often, since the last flow records. The only thing of a verdict that changes."""


class Permit(_OnRequest):
    """Proof that a request was authorised under the revision of `grounds.pair`."""

    __slots__ = ()
    denied: Literal[False] = False


class Denial(_OnRequest):
    """A refusal. The caller is told nothing but `Forbidden`."""

    __slots__ = ()
    denied: Literal[True] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """No request at all can pass between the two."""

    direction: Direction
    rules: tuple[RuleRef, ...]
    reason: str


class VerdictMemory:
    """How many verdicts all pairs together remember: paths are the clients' choice, memory is ours."""

    LIMIT = 8192
    LONGEST = 1024
    """Bytes of a path and of the headers that rules look at, above which a verdict is not worth remembering: the two
    limits together keep clients that never ask the same twice from filling the node's memory."""

    __slots__ = ("_count", "_pairs")

    def __init__(self) -> None:
        self._count = 0
        self._pairs: set[Pair] = set()

    def add(self, pair: Pair) -> None:
        """`pair` is about to remember one more. When the memory is full, all forget."""
        if self._count >= self.LIMIT:
            for full in self._pairs:
                full.forget()
            self._pairs.clear()
            self._count = 0
        self._count += 1
        self._pairs.add(pair)


class _Case:
    """Requests of a pair that differ in nothing that rules look at but their path."""

    __slots__ = ("kept", "method", "narrowed", "verdicts")

    def __init__(self, method: str, narrowed: tuple[Narrowed, ...]) -> None:
        self.method = method
        self.narrowed = narrowed
        """The rules that are left, of each half."""
        self.verdicts: dict[bytes, Permit | Denial] = {}
        """By path, as received."""
        self.kept = False


class Pair:
    """Verdicts for one source, destination and port, under one view: `generation` says whether it is the newest."""

    __slots__ = (
        "_cases",
        "_grounds",
        "_halves",
        "_memory",
        "_values",
        "blocked",
        "destination",
        "facts",
        "generation",
        "revision",
        "service",
        "source",
    )

    def __init__(
        self,
        facts: ConnectionFacts,
        view: ProxyView,
        memory: VerdictMemory | None = None,
        prepared: Prepared | None = None,
        generation: int = 0,
    ) -> None:
        prepared = prepared or Prepared()
        self.facts = facts
        self.generation = generation
        self._memory = memory or VerdictMemory()
        self.revision = view.revision
        self.source: PodEndpoint | None = view.endpoints.get(facts.source_endpoint)
        self.destination: PodEndpoint | None = view.endpoints.get(facts.destination_endpoint)
        self._halves: dict[Direction, HttpHalf] = {}
        self._cases: dict[tuple[bytes, str, Fields], _Case] = {}
        """By all that rules may look at but the path."""
        self._grounds: dict[tuple[tuple[Conditional, ...], ...], Grounds] = {}
        """By the rules that hold, of each half."""
        self.service = view.services.get(facts.service, "")
        self.blocked: Blocked | None = None
        chosen = {direction: self._policy(direction, view) for direction in (Direction.EGRESS, Direction.INGRESS)}
        if not facts.egress and not facts.ingress:
            self.blocked = Blocked(direction=Direction.INGRESS, rules=_NOBODY, reason="no-policy")
        if self.blocked is None:
            self._prepare(chosen, prepared)
        self._values = prepared.finder(*(policy for policy in chosen.values() if policy is not None))

    def _policy(self, direction: Direction, view: ProxyView) -> DirectionPolicy | None:
        """What is to be enforced in one direction; None where that is nothing. An unknown endpoint blocks."""
        leaving = direction is Direction.EGRESS
        if not (self.facts.egress if leaving else self.facts.ingress):
            return None
        endpoint = self.source if leaving else self.destination
        policy = view.policies.get(endpoint.policy) if endpoint else None
        if endpoint is None or policy is None:
            self.blocked = Blocked(direction=direction, rules=_NOBODY, reason="no-policy")
            return None
        return policy.towards(direction) if endpoint.enforced else None

    def _prepare(self, chosen: dict[Direction, DirectionPolicy | None], prepared: Prepared) -> None:
        """Look at what is settled without a request first: a pair that L4 forbids may not speak at all."""
        facts = self.facts
        if self._same_pod():
            return
        for direction, peer in (
            (Direction.EGRESS, facts.destination_identity),
            (Direction.INGRESS, facts.source_identity),
        ):
            policy = chosen[direction]
            if policy is not None:
                self._halves[direction] = prepared.half(policy, IdentityId(peer), facts.destination_port)
        settled = {direction: half.settled for direction, half in self._halves.items()}
        if any(said is not None and said.verdict is not Verdict.ALLOW for said in settled.values()):
            decision = combine(settled.get(Direction.EGRESS), settled.get(Direction.INGRESS))
            direction, reason = _denied_where(decision)
            self.blocked = Blocked(direction=direction, rules=decision.decided_by, reason=reason)

    def _same_pod(self) -> bool:
        facts = self.facts
        return facts.source_endpoint != 0 and facts.source_endpoint == facts.destination_endpoint

    def judge(self, head: RequestHead) -> Permit | Denial:
        """The verdict on a request as it would be forwarded. RequestRefused where its path is ambiguous."""
        values = tuple(self._values.findall(head.forward)) if self._values is not None else ()
        key = (head.method, head.host, values)
        case = self._cases.get(key)
        if case is None:
            case = self._new_case(key)
        return case.verdicts.get(head.path) or self._decide(head, case)

    def forget(self) -> None:
        """Verdicts are made anew when they are asked for."""
        self._cases.clear()
        self._grounds.clear()

    def _new_case(self, key: tuple[bytes, str, Fields]) -> _Case:
        method, host, values = key
        name = method.decode("ascii")
        headers = tuple(
            (name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")) for name, value in values
        )
        case = _Case(name, tuple(half.narrowed(name, host, headers) for half in self._halves.values()))
        case.kept = sum(len(value) for _, value in values) <= VerdictMemory.LONGEST
        if case.kept:
            self._memory.add(self)
            self._cases[key] = case
        return case

    def _decide(self, head: RequestHead, case: _Case) -> Permit | Denial:
        try:
            path = normalize_path(head.path)
        except AmbiguousPath:
            raise RequestRefused("path") from None
        holding = tuple([left.holding(path) for left in case.narrowed])
        grounds = self._grounds.get(holding)
        if grounds is None:
            grounds = self._conclude(holding)
            self._memory.add(self)
            self._grounds[holding] = grounds
        make = Denial if grounds.denied else Permit
        verdict = make(grounds, case.method, path[: VerdictMemory.LONGEST], head.host)
        # Those that are in a crowd are not told apart, so they need not be the same object when they come again.
        if case.kept and not grounds.crowd.full and len(head.path) <= VerdictMemory.LONGEST:
            self._memory.add(self)
            case.verdicts[head.path] = verdict
        return verdict

    def _conclude(self, holding: tuple[tuple[Conditional, ...], ...]) -> Grounds:
        if (blocked := self.blocked) is not None:
            return Grounds(
                pair=self,
                rules=blocked.rules,
                layer=Layer.L3L4,
                denied=True,
                direction=blocked.direction,
                reason=blocked.reason,
            )
        halves = zip(self._halves.items(), holding, strict=True)
        said = {direction: half.conclude(rules) for (direction, half), rules in halves}
        decision = combine(said.get(Direction.EGRESS), said.get(Direction.INGRESS))
        denied = decision.verdict is not Verdict.ALLOW
        direction, reason = _denied_where(decision) if denied else (self._seen_from(), "")
        return Grounds(
            pair=self,
            rules=decision.decided_by,
            layer=decision.layer,
            denied=denied,
            direction=direction,
            reason=reason,
        )

    def _seen_from(self) -> Direction:
        return Direction.INGRESS if self.facts.ingress else Direction.EGRESS


class Authorizer:
    """The newest view, and the pairs that were met under it."""

    PAIRS = 4096
    """Remembered pairs; emptied when full, connections keep theirs."""

    def __init__(self) -> None:
        self.view: ProxyView | None = None
        self.generation = 0
        """How many views there were. Not their revision: what changes on the node alone does not change that."""
        self._pairs: dict[tuple[object, ...], Pair] = {}
        self._memory = VerdictMemory()
        self._prepared = Prepared()
        self._moved: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        """Address -> number of the pod of this node that has it."""

    def swap(self, view: ProxyView) -> None:
        self.view = view
        self.generation += 1
        self._numbers = {
            str(address): number for number, endpoint in view.endpoints.items() for address, _ in endpoint.addresses
        }
        self._moved = {str(address): int(identity) for address, identity in view.moved.items()}
        self._pairs = {}
        self._memory = VerdictMemory()
        self._prepared = Prepared()

    def current(self, facts: ConnectionFacts) -> ConnectionFacts:
        """The same with what is known of both addresses now: their identities, and the pod where an end was enrolled
        after the connection began. A number that the record has stays: who has the address later is another pod."""
        source = self._moved.get(facts.source_ip, facts.source_identity)
        destination = self._moved.get(facts.destination_ip, facts.destination_identity)
        source_endpoint = facts.source_endpoint or self._numbers.get(facts.source_ip, 0)
        destination_endpoint = facts.destination_endpoint or self._numbers.get(facts.destination_ip, 0)
        if (source, destination, source_endpoint, destination_endpoint) == (
            facts.source_identity,
            facts.destination_identity,
            facts.source_endpoint,
            facts.destination_endpoint,
        ):
            return facts
        return replace(
            facts,
            source_identity=source,
            destination_identity=destination,
            source_endpoint=source_endpoint,
            destination_endpoint=destination_endpoint,
            egress=facts.egress or source_endpoint != facts.source_endpoint,
            ingress=facts.ingress or destination_endpoint != facts.destination_endpoint,
        )

    def pair(self, facts: ConnectionFacts) -> Pair:
        """Only after the first view has come: without one nothing can be authorised, so nothing is accepted."""
        if self.view is None:
            raise RuntimeError("no policy has been received yet")
        facts = self.current(facts)
        key = (
            facts.source_ip,
            facts.destination_ip,
            facts.destination_port,
            facts.source_identity,
            facts.destination_identity,
            facts.source_endpoint,
            facts.destination_endpoint,
            facts.egress,
            facts.ingress,
            facts.service,
        )
        pair = self._pairs.get(key)
        if pair is None:
            if len(self._pairs) >= self.PAIRS:
                self._pairs = {}
            pair = self._pairs[key] = Pair(facts, self.view, self._memory, self._prepared, self.generation)
        return pair


def _denied_where(decision: Decision) -> tuple[Direction, str]:
    """The half behind a denial, and the reason in the words of the kernel's records."""
    for direction, half in ((Direction.EGRESS, decision.egress), (Direction.INGRESS, decision.ingress)):
        if half is not None and half.verdict is not Verdict.ALLOW and half.layer is decision.layer:
            return direction, "policy-default" if half.default else "policy-deny"
    return Direction.INGRESS, "policy-deny"
