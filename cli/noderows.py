"""Rows that travel from the nodes: one question, the answer of each, and what is said where a node has none.

A node that fails does not hide the others: their rows are shown, its reason goes to standard error and the exit status
is 3. A question that makes no sense to a node (`refused` in its answer) is refused as a whole.
"""

from __future__ import annotations

from cli import terminal
from cli.document import Json, text
from cli.errors import Problem, Refused, Unreachable, WeftError
from cli.formats import View
from cli.listing import Listing, run
from cli.target import Target


def ask(
    target: Target, question: str, arguments: Json, *, node: str, keys: tuple[str, ...]
) -> tuple[list[Json], list[str]]:
    """(rows of every node, reasons of those that failed)."""
    from cli.client import Admin, rows_of

    with Admin(target) as admin:
        replies = admin.node_command(question, arguments, node=node)
    if not replies:
        which = f"node {node}" if node else "any node"
        raise Unreachable(f"the controller{target.whose} has no connection to {which}; see: weft status")
    if refusals := dict.fromkeys(said for reply in replies if (said := text(reply.value, "refused"))):
        raise Refused([Problem(reason=said) for said in refusals])
    for reply in replies:
        if text(reply.value, "truncated") == "true":
            terminal.hint(f"weft: node {reply.node} holds more rows than it sends; these are the first")
    rows, failed = rows_of(replies, *keys)
    return rows, [f"node {reply.node}: {reply.error}" for reply in failed]


def show(
    target: Target,
    listing: Listing,
    view: View,
    question: str,
    arguments: Json,
    *,
    node: str = "",
    keys: tuple[str, ...] = (),
) -> None:
    """A listing of what the nodes answer."""
    reasons: list[str] = []

    def fetch() -> list[Json]:
        rows, failed = ask(target, question, arguments, node=node, keys=keys)
        reasons[:] = failed
        if failed and not rows:
            raise NodeFailed("; ".join(failed))
        return [row for row in rows if listing.takes(str(row.get("namespace", listing.namespace)))]

    run(listing, view, fetch)
    if reasons:
        for reason in reasons[:-1]:
            terminal.hint(f"weft: {reason}")
        raise NodeFailed(reasons[-1])


class NodeFailed(WeftError):
    """At least one node did not answer."""

    exit_code = 3
