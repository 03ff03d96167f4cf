"""The answer of `policy show` in words: for each direction the default and the rules, resolved to peers. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.document import Json, dig, rows, table, text
from cli.selectors import http
from cli.verdicts import grants, rule


def policies(answer: object) -> list[tuple[str, str]]:
    """(kind, ns/name) of every policy that selects the pod, in the order of the answer, each once."""
    named = rows(answer, "policies")
    for direction in ("egress", "ingress"):
        named += rows(answer, direction, "selectedBy")
        named += [table(found, "ref") or found for found in rows(answer, direction, "rules")]
    return list(dict.fromkeys((text(ref, "kind"), text(ref, "policy")) for ref in named if text(ref, "policy")))


def shown(answer: Json, *, pod: str, wide: bool = False) -> str:
    """All lines; wide lists what `http` asks as well."""
    selecting = policies(answer)
    lines = [f"Pod:       {pod}"]
    if text(answer, "enforced") == "false":
        lines.append("Enforced:  no (the pod is not enrolled, or uses the node's network)")
    named = [f"{kind} {policy}" for kind, policy in selecting]
    lines.append(f"Policies:  {named[0] if named else 'none selects this pod'}")
    lines += [f"           {more}" for more in named[1:]]
    addresses = [f"{text(entry, 'ip')} (identity {text(entry, 'identity')})" for entry in rows(answer, "addresses")]
    if addresses:
        lines.append(f"Addresses: {', '.join(addresses)}")
    for direction in ("egress", "ingress"):
        lines += _direction(direction, dig(answer, direction), wide=wide)
    return "\n".join(lines)


def _direction(direction: str, found: object, *, wide: bool) -> Iterator[str]:
    deny = text(found, "defaultDeny") == "true"
    yield ""
    default = "denied unless a rule allows it" if deny else "allowed unless a rule denies it"
    yield f"{direction.capitalize()}: {default}"
    if not rows(found, "rules"):
        yield "  no rules"
    for entry in rows(found, "rules"):
        own: Json = {key: entry[key] for key in ("policy", "kind", "rule", "name") if key in entry}
        ref: Json = {**table(entry, "ref"), **own}
        matches = rows(entry, "http")
        # An empty list of matches is a restriction that no request meets, not the absence of one.
        limited = isinstance(dig(entry, "http"), list)
        action = text(entry, "action") or text(ref, "action", default="Allow")
        yield f"  {action:<5}  {rule(ref)}" + ("  (http)" if limited else "")
        for grant in grants(entry):
            yield f"         {grant}"
        if limited and wide and not matches:
            yield "         no request matches"
        for match in matches if wide or len(matches) <= 3 else matches[:3]:
            yield f"         {http(match)}"
        if not wide and len(matches) > 3:
            yield f"         and {len(matches) - 3} more (-o wide)"
