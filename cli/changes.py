"""How the outcome of apply and delete is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from cli import terminal
from cli.formats import Format, as_json_line, one
from cli.grid import paint

if TYPE_CHECKING:
    from cli.client import Applied, Change

_COLOURS = {"created": "green", "configured": "yellow", "deleted": "red"}


def joined(parts: Sequence[Applied]) -> Applied:
    """Several outcomes as one; the revision is the newest."""
    from cli.client import Applied

    return Applied(
        revision=max((part.revision for part in parts), default=0),
        changes=tuple(change for part in parts for change in part.changes),
        warnings=tuple(warning for part in parts for warning in part.warnings),
    )


def key(change: Change) -> str:
    return f"{change.namespace}/{change.name}" if change.namespace else change.name


def report(applied: Applied, form: Format, *, suffix: str = "") -> None:
    """One line for each object, or the whole as a document."""
    if form.for_people or form is Format.NAME:
        colour = terminal.colour()
        for change in applied.changes:
            verb = paint(change.verb, _COLOURS.get(change.verb)) if colour else change.verb
            tail = "" if form is Format.NAME else f" {verb}{suffix}"
            terminal.say(f"{change.kind} {key(change)}{tail}")
        return
    changes = [asdict(change) for change in applied.changes]
    if form is Format.JSONL:
        for row in changes:
            terminal.say(as_json_line(row))
        return
    warnings = [asdict(warning) for warning in applied.warnings]
    terminal.say(one({"revision": applied.revision, "changes": changes, "warnings": warnings}, form))
