"""Verdicts in a person's words: one sentence that names the rule, or the policies behind a default deny."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mesh.model import Action, HalfDecision, RuleRef, Verdict

_END = {"egress": "source", "ingress": "destination"}
_SHOWN = 3
"""Names in one sentence; the rest is counted, and the record holds them all."""


def rule_text(ref: RuleRef) -> str:
    """`ingress[0] "read-only" of MeshPolicy shop/api`, or the policy alone."""
    policy = f"{ref.kind} {ref.policy}"
    if not ref.rule:
        return policy
    name = f' "{ref.name}"' if ref.name else ""
    return f"{ref.rule}{name} of {policy}"


def listed(texts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b, c and 2 more`."""
    unique = list(dict.fromkeys(texts))
    if len(unique) > _SHOWN:
        return f"{', '.join(unique[:_SHOWN])} and {len(unique) - _SHOWN} more"
    return " and ".join([", ".join(unique[:-1]), unique[-1]]) if len(unique) > 1 else "".join(unique)


def half_text(word: str, half: HalfDecision) -> str:
    """What one direction says; `word` is egress or ingress."""
    refs = half.decided_by
    if half.verdict is Verdict.DENY:
        return _denial(word, half)
    if not refs:
        return f"no policy restricts its {word}" if half.default else f"its {word} is always allowed here"
    allowing = [rule_text(ref) for ref in refs if ref.action is Action.ALLOW]
    denying = [rule_text(ref) for ref in refs if ref.action is Action.DENY]
    if not allowing:
        return f"its {word} is open except for the requests that {listed(denying)} denies"
    text = f"its {word} is allowed by {listed(allowing)}"
    return f"{text} except for the requests that {listed(denying)} denies" if denying else text


def _denial(word: str, half: HalfDecision) -> str:
    names = listed(rule_text(ref) for ref in half.decided_by)
    if not half.default:
        return f"its {word} is denied by {names}" if names else f"its {word} is denied: the peer is not known"
    if half.needs_l7:
        return f"its {word} is open for HTTP requests that {names} allows, and this request is none of them"
    return f"no rule allows its {word}, which is default deny because of {names}"


def denied(word: str, half: HalfDecision) -> str:
    """The sentence of a flow that one direction denied; `word` is egress or ingress."""
    return f"Denied at the {_END[word]}: {half_text(word, half)}."


def allowed(halves: Sequence[tuple[str, HalfDecision]], *, each_request: bool) -> str:
    """The sentence of a flow that was let in. `each_request`: only as a connection, no request was looked at yet."""
    if not halves:
        return "Allowed: neither end is enforced."
    said = "; ".join(f"at the {_END[word]} {half_text(word, half)}" for word, half in halves)
    return f"{'Allowed as a connection, each request is decided by itself' if each_request else 'Allowed'}: {said}."
