"""The options that every listing takes (-o, -n, -A, -w), and how a listing is shown once or watched."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from cli import terminal
from cli.completing import complete_namespace
from cli.document import Json
from cli.formats import Format, View, many

WATCH_INTERVAL_S = 1.0
REMOVED = "removed"
"""Key that marks a row of a watch that is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the options say."""

    form: Format
    namespace: str | None
    all_namespaces: bool
    watch: bool

    def takes(self, namespace: str) -> bool:
        """Whether rows of that namespace are asked for; every one unless -n names one."""
        return self.all_namespaces or self.namespace is None or namespace == self.namespace


output_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice([form.value for form in Format]),
    default=Format.TABLE.value,
    callback=lambda _context, _parameter, value: Format(value),
    metavar="FORMAT",
    help="table (the default), wide, name, json, yaml or jsonl.",
)


def namespace_option_that(means: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("-n", "--namespace", metavar="NS", shell_complete=complete_namespace, help=means)


namespace_option = namespace_option_that("The namespace of names without one.")
_only_namespace_option = namespace_option_that("Only this namespace.")


def listing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the four options and hands them over as one argument, `listing`."""

    @functools.wraps(command)
    def collected(
        *arguments: Any, form: Format, namespace: str | None, all_namespaces: bool, watch: bool, **rest: Any
    ) -> Any:
        if namespace is not None and all_namespaces:
            raise click.UsageError("-n and -A exclude each other")
        options = Listing(form=form, namespace=namespace, all_namespaces=all_namespaces, watch=watch)
        return command(*arguments, listing=options, **rest)

    decorated = click.option("-w", "--watch", is_flag=True, help="Go on: print what changes, until Ctrl-C.")(collected)
    decorated = click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")(decorated)
    return output_option(_only_namespace_option(decorated))


def show(rows: Sequence[Json], listing: Listing, view: View, *, whole: object = None) -> None:
    """Print a listing once."""
    if not rows and listing.form.for_people:
        terminal.hint(view.empty)
        return
    text = many(
        rows,
        listing.form,
        view,
        width=terminal.width(),
        colour=terminal.colour(),
        whole=whole,
    )
    if text:
        terminal.say(text)


def show_change(row: Json, listing: Listing, view: View, *, removed: bool = False) -> None:
    """Print one row of a watch: below the table, without a header; one document in the formats for programs."""
    marked = {**row, REMOVED: True} if removed else row
    if listing.form.for_people:
        text = many(
            [row],
            listing.form,
            view,
            width=terminal.width(),
            colour=terminal.colour(),
            header=False,
        )
        terminal.say(f"{text}  ({REMOVED})" if removed else text)
    else:
        terminal.say(many([marked], listing.form, view, whole=marked))


def changes(before: Sequence[Json], after: Sequence[Json], view: View) -> Iterator[tuple[Json, bool]]:
    """(row, removed) for each row that is new, differs, or is gone."""
    old = {view.name(row): row for row in before}
    new = {view.name(row): row for row in after}
    for name, row in new.items():
        if old.get(name) != row:
            yield row, False
    for name, row in old.items():
        if name not in new:
            yield row, True


def run(listing: Listing, view: View, fetch: Callable[[], list[Json]]) -> None:
    """Show what `fetch` gives; with -w ask again every second and print what changed."""
    rows = fetch()
    show(rows, listing, view)
    while listing.watch:
        try:
            time.sleep(WATCH_INTERVAL_S)
            fresh = fetch()
        except KeyboardInterrupt:
            return
        for row, removed in changes(rows, fresh, view):
            show_change(row, listing, view, removed=removed)
        rows = fresh
