"""A flow record as `weft observe` shows it. Pure.

In a pipe it is one line. So it is on a terminal where it fits; else the reason begins a line of its own:

12:01:03.123 DENY  shop/client -> shop/payments:8080 TCP POST /charge 403
                   MeshPolicy shop/payments ingress[0] (default deny)

Between pods no address is shown, so a flow over IPv6 says TCP6 or UDP6: a client that tries both is two lines.
"""

from __future__ import annotations

import textwrap

from cli.document import Json, dig, number, rows, table, text
from cli.grid import paint
from cli.reserved import reserved_name
from cli.spans import clock
from cli.verdicts import COLOURS, NO_POLICY, rule
from mesh.model import ReservedIdentity

BROAD = 60
"""Columns from which on what goes on stands under the names, not under the time."""


def party(found: object) -> str:
    """`shop/client`; for what is no pod the address, with what it is: `203.0.113.7(world)`."""
    pod = text(found, "pod")
    if pod:
        namespace = text(found, "namespace")
        return f"{namespace}/{pod}" if namespace else pod
    address = text(found, "ip", default="?")
    sort = reserved_name(number(found, "identity")) if dig(found, "identity") is not None else ""
    return f"{address}({sort})" if sort else address


def destination(flow: Json) -> str:
    port = number(flow, "to", "port")
    whom = party(dig(flow, "to"))
    if not port:
        return whom
    return f"[{whom}]:{port}" if whom.count(":") > 1 and "(" not in whom else f"{whom}:{port}"


def request(flow: Json) -> str:
    """`POST /charge 403`, or nothing for a flow that is no request."""
    if not table(flow, "http"):
        return ""
    parts = [text(flow, "http", key) for key in ("method", "path", "status")]
    return " ".join(part for part in parts if part and part != "0")


def reason(flow: Json) -> str:
    """Who decided: the rules, or for a default deny the policies behind it; else the datapath's drop reason."""
    refs = rows(flow, "decidedBy") or [{"policy": policy} for policy in _policies(flow)]
    said = _named_once([rule(ref) for ref in refs])
    dropped = text(flow, "dropReason")
    if not said:
        return dropped or (_unasked(flow) if text(flow, "verdict") == "allow" else "")
    if text(flow, "verdict") == "deny" and not any(text(ref, "action") == "Deny" for ref in refs):
        return f"{said} (default deny{', policy-changed' if dropped == 'policy-changed' else ''})"
    return said


def _unasked(flow: Json) -> str:
    """Why it passes where no rule was needed. Both ends can say so of one flow: it names the direction."""
    source, target = party(dig(flow, "from")), party(dig(flow, "to"))
    host = ReservedIdentity.HOST
    if any(dig(flow, end, "identity") == host for end in ("from", "to")):
        return "a node and its own pods"
    if source == target:
        return "a pod and itself"
    return f"{text(flow, 'direction')}: {NO_POLICY}"


def protocol(flow: Json) -> str:
    """`TCP`, or `TCP6` where an address is not shown that would tell the family."""
    said = text(flow, "protocol")
    hidden = all(text(flow, end, "pod") for end in ("from", "to"))
    return f"{said}6" if hidden and said in ("TCP", "UDP", "SCTP") and ":" in text(flow, "to", "ip") else said


def _named_once(rules: list[str]) -> str:
    """`NetworkPolicy a/b, a/c; MeshPolicy a/d`: a kind that repeats is said once."""
    said, last = "", ""
    for each in rules:
        kind, _, rest = each.partition(" ")
        same = bool(rest) and kind == last
        said += (", " if same else "; ") * bool(said) + (rest if same else each)
        last = kind
    return said


def _policies(flow: Json) -> list[str]:
    found = dig(flow, "policies")
    return [str(policy) for policy in found] if isinstance(found, list) else []


def _clean(raw: str) -> str:
    """A path or header of a caller's choosing must not move the reader's cursor."""
    return "".join(char if char.isprintable() else "?" for char in raw)


def flow_line(flow: Json, *, colour: bool, wide: bool = False, width: int | None = None) -> str:
    """One record; several lines where `width` is given and one has no room. Wide is one line, and adds what the columns
    leave out: node, direction, layer, addresses, service.
    """
    verdict = _clean(text(flow, "verdict"))
    time, word, room = _clean(clock(text(flow, "time"))), verdict.upper(), " " * max(1, 6 - len(verdict))
    head, painted = f"{time} {word}{room}", f"{time} {paint(word, COLOURS.get(verdict) if colour else None)}{room}"
    said, why = _clean(_said(flow)), _clean(reason(flow))
    shade = "dim" if colour else None
    if wide or width is None or len(f"{head}{said}  {why}".rstrip()) <= width:
        return painted + said + (f"  {paint(why, shade)}" if why else "") + (_clean(_aside(flow)) if wide else "")
    indent = " " * (len(head) if width >= BROAD else 2)
    first, *others = textwrap.wrap(head + said, width, subsequent_indent=indent, break_on_hyphens=False)
    reasons = textwrap.wrap(why, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    lines = [painted + first[len(head) :], *others, *(paint(line, shade) for line in reasons)]
    return "\n".join(line.rstrip() for line in lines)


def _said(flow: Json) -> str:
    """`shop/client -> shop/payments:8080 TCP POST /charge 403 x3`."""
    what = " ".join(part for part in (protocol(flow), request(flow)) if part)
    count = number(flow, "count")
    return f"{party(dig(flow, 'from'))} -> {destination(flow)} {what}" + (f" x{count}" if count > 1 else "")


def _aside(flow: Json) -> str:
    """What only the wide form has."""
    ends = " ".join(f"{side}={text(flow, side, 'ip')}#{text(flow, side, 'identity')}" for side in ("from", "to"))
    service = f" service={text(flow, 'service')}" if text(flow, "service") else ""
    return f"  [{text(flow, 'node')} {text(flow, 'direction')} {text(flow, 'layer')} {ends}{service}]"
