"""Requests: whether one matches, and one direction's verdict in the form that a proxy asks again and again.

`prepare` does everything that depends only on the peer and the port; `HttpHalf.decide` looks at a request. `decide` in
`mesh.policy.decide` is made of the same two steps, so the proxy and the simulator cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mesh.model import (
    Action,
    DirectionPolicy,
    HalfDecision,
    HeaderMatch,
    HttpMatch,
    HttpRequest,
    IdentityId,
    Layer,
    Match,
    PathMatch,
    ResolvedRule,
    RuleRef,
    Verdict,
)
from mesh.paths import (
    AmbiguousPath,
    decode_reserved,
    merge_slashes,
    normalize_host,
    normalize_path,
    without_parameters,
)
from mesh.patterns import compile_pattern

__all__ = [
    "AmbiguousPath",
    "Conditional",
    "HttpHalf",
    "Narrowed",
    "PreparedMatch",
    "matches",
    "normalize_host",
    "normalize_path",
    "prepare",
]


Headers = tuple[tuple[str, str], ...]
"""Names in lower case, and values."""


def matches(match: HttpMatch, request: HttpRequest) -> bool:
    """Whether an entry of an Allow rule matches a request."""
    return PreparedMatch(match, Action.ALLOW).holds(request)


class PreparedMatch:
    """One entry of `http:`, ready to be asked.

    For a Deny rule a request also matches where a lenient upstream would read it as one that does: a method in lower
    case, several slashes for one, `/a;x` for `/a`, `%40` for `@`, `X_Env` for `X-Env`, a list in one field for
    several fields. Reading more into a request may only take away.
    """

    __slots__ = ("_below", "_deny", "_exact", "_headers", "_hosts", "_methods", "_patterns")

    def __init__(self, match: HttpMatch, action: Action) -> None:
        self._deny = action is Action.DENY
        self._methods = frozenset(match.methods)
        self._hosts = frozenset(match.hosts)
        self._exact = frozenset(self._spellings(path.value for path in match.paths if path.match is Match.EXACT))
        prefixes = self._spellings(_elements(path) for path in match.paths if path.match is Match.PREFIX)
        self._exact |= frozenset(prefixes)
        # No path named: any, and every path begins with nothing.
        self._below = tuple(f"{prefix}/" for prefix in prefixes) if match.paths else ("",)
        self._patterns = tuple(compile_pattern(path.value) for path in match.paths if path.match is Match.REGEX)
        self._headers = match.headers

    def holds(self, request: HttpRequest) -> bool:
        return self.holds_but_for_path(request.method, request.host, request.headers) and self.path_holds(request.path)

    def holds_but_for_path(self, method: str, host: str, headers: Headers) -> bool:
        if self._methods and not self._method_holds(method):
            return False
        if self._hosts and host.removesuffix(".") not in self._hosts:
            return False
        return all(_header_holds(match, headers, deny=self._deny) for match in self._headers)

    def _method_holds(self, method: str) -> bool:
        # Method names are case-sensitive (RFC 9110, 9.1), but not every server knows.
        return method in self._methods or (self._deny and method.upper() in self._methods)

    def _spellings(self, values: Iterable[str]) -> tuple[str, ...]:
        """What a rule's paths are compared as: a Deny rule's also decoded, for requests are looked at so."""
        given = tuple(values)
        if not self._deny:
            return given
        return tuple(dict.fromkeys((*given, *(decode_reserved(value) for value in given if "%" in value))))

    def path_holds(self, path: str) -> bool:
        if self._one_path_holds(path):
            return True
        if not self._deny or not ("%" in path or ";" in path or "//" in path):
            return False
        read = (path, decode_reserved(path))
        plain = tuple(without_parameters(one) for one in read)
        return any(self._one_path_holds(other) for one in (*read, *plain) for other in (one, merge_slashes(one)))

    def _one_path_holds(self, path: str) -> bool:
        if path in self._exact or path.startswith(self._below):
            return True
        return bool(self._patterns) and any(pattern.fullmatch(path) for pattern in self._patterns)


def _elements(path: PathMatch) -> str:
    """A prefix without its last slash: `/api/` and `/api` mean the same elements."""
    return path.value.rstrip("/")


def _header_holds(match: HeaderMatch, headers: Headers, *, deny: bool) -> bool:
    """Any value of a header that stands there several times may match; absent means that there is none."""
    if match.match is Match.ABSENT:
        # Absent is the other way round: here it is Allow that must not miss a header.
        return not any(name == match.name if deny else _reads_as(name, match.name) for name, _ in headers)
    if deny:
        return any(_reads_as(name, match.name) and _any_part_holds(match, value) for name, value in headers)
    return any(name == match.name and _value_holds(match, value) for name, value in headers)


def _reads_as(name: str, wanted: str) -> bool:
    """CGI and all that came of it (WSGI, PHP, Rack) turn dashes and underscores into the same variable."""
    return name == wanted or name.replace("_", "-") == wanted.replace("_", "-")


def _any_part_holds(match: HeaderMatch, value: str) -> bool:
    """`a, b` is the same as two fields with `a` and `b` (RFC 9110, section 5.3)."""
    if _value_holds(match, value):
        return True
    return "," in value and any(_value_holds(match, part.strip(" \t")) for part in value.split(","))


def _value_holds(match: HeaderMatch, value: str) -> bool:
    match match.match:
        case Match.EXACT:
            return value == match.value
        case Match.PREFIX:
            return value.startswith(match.value)
        case Match.REGEX:
            return compile_pattern(match.value).fullmatch(value)
    return True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditional:
    """A rule about requests. Told apart as an object, so that a set of them is quickly compared."""

    ref: RuleRef
    denies: bool
    matches: tuple[PreparedMatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """What is left to ask a half once all of a request is known but its path: that differs most."""

    denies: tuple[tuple[Conditional, PreparedMatch], ...]
    allows: tuple[tuple[Conditional, PreparedMatch], ...]

    def holding(self, path: str) -> tuple[Conditional, ...]:
        """The rules about requests that settle this one: those that deny it, else those that let it in."""
        for rules in (self.denies, self.allows):
            found: list[Conditional] = []
            for rule, match in rules:
                if match.path_holds(path) and not (found and found[-1] is rule):  # a rule's entries stand together
                    found.append(rule)
            if found:
                return tuple(found)
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHalf:
    """One direction's verdict on one peer and port. Without conditional rules it is settled at L4."""

    settled: HalfDecision | None
    """The verdict, where no request can change it."""
    open: bool = False
    """Let in whatever no Deny rule matches."""
    opened_by: tuple[RuleRef, ...] = ()
    allows: tuple[Conditional, ...] = ()
    denies: tuple[Conditional, ...] = ()
    closed_by: tuple[RuleRef, ...] = field(default=())
    """The policies whose conditional rules opened the port, for requests that none of them matches."""

    @property
    def needs_l7(self) -> bool:
        return self.settled is None

    def decide(self, request: HttpRequest | None) -> HalfDecision:
        """The verdict on a request; without one, what L4 does: let the connection through to the proxy."""
        if request is None and self.settled is None:
            return _l7(Verdict.ALLOW, (*self.opened_by, *(rule.ref for rule in (*self.allows, *self.denies))))
        return self.conclude(self.holding(request) if request is not None else ())

    def holding(self, request: HttpRequest) -> tuple[Conditional, ...]:
        """The rules that settle a request."""
        return self.narrowed(request.method, request.host, request.headers).holding(request.path)

    def narrowed(self, method: str, host: str, headers: Headers) -> Narrowed:
        """To the rules that can hold for such requests."""
        denies, allows = (
            tuple(
                (rule, match)
                for rule in rules
                for match in rule.matches
                if match.holds_but_for_path(method, host, headers)
            )
            for rules in (self.denies, () if self.open else self.allows)
        )
        return Narrowed(denies=denies, allows=allows)

    def conclude(self, holding: tuple[Conditional, ...]) -> HalfDecision:
        """The verdict on every request for which `holding` says this: there are few of them, and many requests."""
        if self.settled is not None:
            return self.settled
        refs = tuple(rule.ref for rule in holding)
        if holding:
            return _l7(Verdict.DENY if holding[0].denies else Verdict.ALLOW, refs)
        if self.open:
            return _l7(Verdict.ALLOW, self.opened_by, default=not self.opened_by)
        return _l7(Verdict.DENY, self.closed_by, default=True)


def _l7(verdict: Verdict, refs: tuple[RuleRef, ...], *, default: bool = False) -> HalfDecision:
    return HalfDecision(verdict=verdict, layer=Layer.L7, needs_l7=True, decided_by=refs, default=default)


def _settled(verdict: Verdict, refs: tuple[RuleRef, ...], *, default: bool = False) -> HttpHalf:
    half = HalfDecision(verdict=verdict, layer=Layer.L3L4, needs_l7=False, decided_by=refs, default=default)
    return HttpHalf(settled=half)


def covering(direction: DirectionPolicy, peer: IdentityId, protocol: int, port: int) -> list[ResolvedRule]:
    """The rules that speak of this peer and port."""
    return [
        rule
        for rule in direction.rules
        if any(
            (grant.peers is None or peer in grant.peers) and any(ports.covers(protocol, port) for ports in grant.ports)
            for grant in rule.grants
        )
    ]


def prepare(direction: DirectionPolicy, peer: IdentityId, protocol: int, port: int) -> HttpHalf:
    """One direction's verdict on a peer and a port, as far as it can be had without a request.

    The peers that no policy is asked about (a node for its own pods, an unknown address) are `mesh.policy.decide`'s.
    """
    rules = covering(direction, peer, protocol, port)
    denying = tuple(rule.ref for rule in rules if rule.http is None and rule.action is Action.DENY)
    if denying:
        return _settled(Verdict.DENY, denying)
    plain = tuple(rule.ref for rule in rules if rule.http is None)
    allows, denies = (_conditional(rules, action) for action in (Action.ALLOW, Action.DENY))
    is_open = bool(plain) or not direction.default_deny
    if not is_open and not allows:
        return _settled(Verdict.DENY, direction.selected_by, default=True)
    if is_open and not denies:
        return _settled(Verdict.ALLOW, plain, default=not plain)
    return HttpHalf(
        settled=None,
        open=is_open,
        opened_by=plain,
        allows=() if is_open else allows,
        denies=denies,
        closed_by=tuple(dict.fromkeys(RuleRef(policy=rule.ref.policy, kind=rule.ref.kind) for rule in allows)),
    )


def _conditional(rules: list[ResolvedRule], action: Action) -> tuple[Conditional, ...]:
    return tuple(
        Conditional(
            ref=rule.ref,
            denies=action is Action.DENY,
            matches=tuple(PreparedMatch(match, action) for match in rule.http),
        )
        for rule in rules
        if rule.http is not None and rule.action is action
    )
