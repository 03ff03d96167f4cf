"""`weft status`: whether every node enforces the newest revision, and if not, what is missing."""

from __future__ import annotations

import time

import click

from cli import statustext, terminal
from cli.document import Json, rows, text
from cli.errors import DoesNotHold, Unreachable
from cli.formats import Format, one
from cli.listing import output_option
from cli.spans import seconds
from cli.target import Target
from cli.words import examples

POLL_INTERVAL_S = 0.1


def _span(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    return None if value is None else seconds(value)


@click.command(
    epilog=examples(
        "weft status",
        "weft apply -f policy.yaml && weft status --wait 10    # exit 1 if late",
        "weft status -o json",
    )
)
@click.option(
    "--wait",
    "wait_s",
    metavar="SECONDS",
    callback=_span,
    help="Return when every agent has acknowledged and enforces the newest revision; exit 1 after SECONDS.",
)
@click.option("-w", "--watch", is_flag=True, help="Print again when something changes, until Ctrl-C.")
@output_option
@click.pass_obj
def command(target: Target, *, wait_s: float | None, watch: bool, form: Format) -> None:
    """Does every node enforce the newest revision?"""
    answer = _until_settled(target, wait_s) if wait_s is not None else _ask(target)
    _show(answer, form)
    if wait_s is not None and not statustext.settled(answer):
        reasons = statustext.missing(answer)
        raise DoesNotHold(f"not settled after {wait_s:g} s:" + ("\n  " if reasons[1:] else " ") + "\n  ".join(reasons))
    try:
        while watch:
            time.sleep(1.0)
            fresh = _ask(target)
            if _without_age(fresh) != _without_age(answer):
                _show(fresh, form)
            answer = fresh
    except KeyboardInterrupt:
        return


def _ask(target: Target) -> Json:
    from cli.client import Admin

    with Admin(target) as admin:
        return admin.status()


def _until_settled(target: Target, wait_s: float) -> Json:
    """The first settled answer, or the last one before the deadline. A controller that restarts is waited for."""
    deadline = time.monotonic() + wait_s
    while True:
        late = time.monotonic() >= deadline
        try:
            answer = _ask(target)
        except Unreachable:
            if late:
                raise
        else:
            if statustext.settled(answer) or late:
                return answer
        time.sleep(POLL_INTERVAL_S)


def _show(answer: Json, form: Format) -> None:
    if form.for_people:
        wide = form is Format.WIDE
        terminal.say(statustext.status(answer, colour=terminal.colour(), width=terminal.width(), wide=wide))
    elif form is Format.NAME:
        for node in rows(answer, "nodes"):
            terminal.say(text(node, "name"))
    else:
        terminal.say(one(answer, form))


def _without_age(answer: Json) -> Json:
    """Seconds that pass are no news."""
    return {**answer, "nodes": [{**node, "ageSeconds": None} for node in rows(answer, "nodes")]}
