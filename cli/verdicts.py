"""The answer of `policy check` in words. Pure."""

from __future__ import annotations

import textwrap

from cli.document import Json, dig, number, rows, text, texts
from cli.grid import paint

PODS_SHOWN = 4
NO_POLICY = "no policy selects the pod"
"""Why a direction allows, where nothing else is its reason."""
MESSAGE_WIDTH = 100
"""Of the sentence, where no terminal says how wide it is."""
COLOURS = {"allow": "green", "deny": "red", "dryrun": "yellow"}


def rule(ref: Json) -> str:
    """`MeshPolicy shop/payments ingress[0] "read-only"`: enough to find the line in a manifest."""
    name = text(ref, "name")
    parts = [text(ref, "kind"), text(ref, "policy"), text(ref, "rule"), f'"{name}"' if name else ""]
    return " ".join(part for part in parts if part)


def word(verdict: str, *, colour: bool) -> str:
    shown = verdict.upper()
    return paint(shown, COLOURS.get(verdict)) if colour else shown


def party(found: object) -> str:
    """`shop/client`, an address, or what the controller says of it."""
    if isinstance(found, str):
        return found
    namespace, name = text(found, "namespace"), text(found, "pod") or text(found, "name") or text(found, "service")
    if name:
        return f"{namespace}/{name}" if namespace else name
    return next((text(found, key) for key in ("ip", "address", "cidr", "given") if text(found, key)), "?")


def half(found: object) -> list[str]:
    """What one direction says and why: the first line carries the verdict, the others one rule each."""
    if not isinstance(found, dict):
        return ["not enforced on this side"]
    verdict = text(found, "verdict")
    asks = text(found, "needsL7") == "true" and text(found, "layer") != "L7"
    said = "depends on the request (give --method and --path)" if asks else f"{verdict} ({text(found, 'layer')})"
    refs = [rule(ref) for ref in rows(found, "decidedBy")]
    if text(found, "default") == "true":
        reason = "by default" if verdict == "allow" else "default deny of"
        return [f"{said}, {reason}", *refs] if refs else [f"{said}, by default: {NO_POLICY}"]
    return [f"{said} by", *refs] if refs else [said]


def check(answer: Json, *, question: str, colour: bool, width: int | None = None) -> str:
    """Several lines: verdict, each direction with its rules, and the sentence."""
    verdict = text(answer, "verdict")
    depends = text(answer, "needsL7") == "true" and text(answer, "layer") != "L7" and verdict == "allow"
    lines = [f"{word(verdict, colour=colour)}  {question}" + ("  (some requests only)" if depends else "")]
    for direction in ("egress", "ingress"):
        first, *others = half(dig(answer, direction))
        lines.append(f"  {direction:<8} {first}")
        lines += [f"  {'':<8}   {other}" for other in others]
    sentence = textwrap.wrap(text(answer, "message"), width or MESSAGE_WIDTH, break_on_hyphens=False)
    return "\n".join([*lines, *sentence])


def _ports(found: Json) -> str:
    protocol, low, high = text(found, "protocol"), text(found, "port"), text(found, "endPort")
    if not low:
        return "every port" if protocol in ("ANY", "") else f"{protocol}, every port"
    return f"{protocol}/{low}-{high}" if high else f"{protocol}/{low}"


def peers(grant: Json) -> str:
    """Peers of a grant: names where the controller gives them, numbers otherwise."""
    found = dig(grant, "peers")
    if found is None:
        return "anyone"
    if not isinstance(found, list):
        return str(found)
    return ", ".join(identity(entry) if isinstance(entry, dict) else str(entry) for entry in found) or "nobody"


def identity(found: Json) -> str:
    """The pods that have the identity, or what it stands for: `256 (shop/client)`."""
    if pods := texts(found, "pods"):
        more = number(found, "podCount") - len(pods[:PODS_SHOWN])
        return ", ".join(pods[:PODS_SHOWN]) + (f" and {more} more" if more > 0 else "")
    numeral, kind = text(found, "id"), text(found, "kind")
    if kind == "pod":
        account = text(found, "serviceAccount", default="default")
        return f"{numeral} ({text(found, 'namespace')}/{account})"
    said = text(found, "prefix") or text(found, "name") or ",".join(texts(found, "entities")) or kind
    return f"{numeral} ({said})" if said else numeral


def grants(found: Json) -> list[str]:
    """`anyone on TCP/8080`, one line each."""
    return [
        f"{peers(grant)} on {', '.join(_ports(entry) for entry in rows(grant, 'ports')) or 'every port'}"
        for grant in rows(found, "grants")
    ]
