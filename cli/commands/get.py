"""`weft get`: objects as they are in the store, as kubectl shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from cli import columns, document, names, terminal
from cli.completing import complete_kind, complete_object
from cli.document import Json
from cli.errors import DoesNotHold
from cli.formats import Format, View, one
from cli.kinds import Kind, find_many
from cli.listing import Listing, listing_options, show, show_change
from cli.target import Target
from cli.words import examples

if TYPE_CHECKING:
    from cli.client import Admin


@click.command(
    epilog=examples(
        "weft get pods -A -o wide",
        "weft get svc,netpol -n shop                  # short names as in kubectl",
        "weft get mp shop/payments -o yaml",
        "weft get pods -n shop -w                     # go on, one line for each change",
    )
)
@click.argument("kind_words", metavar="KIND", shell_complete=complete_kind)
@click.argument("references", nargs=-1, metavar="[NAME]...", shell_complete=complete_object)
@listing_options
@click.pass_obj
def command(target: Target, *, kind_words: str, references: tuple[str, ...], listing: Listing) -> None:
    """List objects of a kind, or show some by name.

    KIND is pods (po), services (svc), namespaces (ns), nodes (no), serviceaccounts (sa), networkpolicies (netpol),
    meshpolicies (mp), deployments (deploy), endpointslices (eps), meshconfigs (mc), several with commas, or all.
    Without -n and -A it means namespace default.
    """
    kinds = find_many(kind_words)
    if references and (len(kinds) > 1 or listing.all_namespaces):
        raise click.UsageError("a NAME goes with one kind, and not with -A")
    from cli.client import Admin

    with Admin(target) as admin:
        if references:
            wanted = [names.of_kind(kinds[0], reference, listing.namespace) for reference in references]
            found = [_exactly(admin, kinds[0], namespace, name) for namespace, name in wanted]
            view = columns.view(kinds[0], with_namespace=len({namespace for namespace, _ in wanted}) > 1)
            _show_kind(found, listing, view, alone=len(references) == 1)
        else:
            wanted = []
            _show_kinds(admin, kinds, listing)
        if listing.watch:
            keys = {f"{namespace}/{name}" if namespace else name for namespace, name in wanted}
            _follow(admin.watch([kind.name for kind in kinds]), kinds, listing, keys)


def _exactly(admin: Admin, kind: Kind, namespace: str, name: str) -> Json:
    found = admin.get(kind.name, namespace=namespace, name=name)
    if not found:
        where = f" in namespace {namespace}" if namespace else ""
        raise DoesNotHold(f"there is no {kind.name} {name!r}{where}")
    return found[0]


def _namespace(kind: Kind, listing: Listing) -> str:
    """The one that is asked for; empty for all."""
    if not kind.namespaced or listing.all_namespaces:
        return ""
    return listing.namespace or names.DEFAULT_NAMESPACE


def _show_kind(found: Sequence[Json], listing: Listing, view: View, *, alone: bool) -> None:
    if alone and listing.form in (Format.JSON, Format.YAML):
        terminal.say(one(found[0], listing.form))
        return
    show(found, listing, view, whole=as_list(found))


def _show_kinds(admin: Admin, kinds: Sequence[Kind], listing: Listing) -> None:
    groups = [(kind, admin.get(kind.name, namespace=_namespace(kind, listing))) for kind in kinds]
    every = [item for _, items in groups for item in items]
    if not listing.form.for_people:
        naming = document.key_of if len(kinds) == 1 else columns.kinded
        show(every, listing, View(columns=(), name=naming), whole=as_list(every))
        return
    if not every:
        where = (
            ""
            if listing.all_namespaces or not any(kind.namespaced for kind in kinds)
            else (f" in namespace {listing.namespace or names.DEFAULT_NAMESPACE} (-A shows all namespaces)")
        )
        terminal.hint(f"no {', '.join(kind.plural for kind in kinds)}{where}")
        return
    shown = [(kind, items) for kind, items in groups if items]
    for position, (kind, items) in enumerate(shown):
        if len(kinds) > 1:
            terminal.say(("\n" if position else "") + f"{kind.plural}:")
        show(items, listing, columns.view(kind, with_namespace=listing.all_namespaces))


def as_list(items: Sequence[Json]) -> Json:
    """As kubectl wraps several objects."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": list(items)}


def later(events: Iterable[tuple[str, Json]]) -> Iterator[tuple[str, Json]]:
    """Events after the first picture, which `get` has shown already."""
    synced = False
    for verb, item in events:
        if verb == "synced":
            synced = True
        elif synced:
            yield verb, item


def _follow(events: Iterator[tuple[str, Json]], kinds: Sequence[Kind], listing: Listing, keys: set[str]) -> None:
    by_name = {kind.name: kind for kind in kinds}
    try:
        for verb, item in later(events):
            kind = by_name.get(document.text(item, "kind"))
            wanted = (
                document.key_of(item) in keys
                if keys
                else kind is not None
                and (_namespace(kind, listing) in ("", document.text(item, "metadata", "namespace")))
            )
            if kind is not None and wanted:
                view = columns.view(kind, with_namespace=listing.all_namespaces)
                show_change(item, listing, view, removed=verb == "remove")
    except KeyboardInterrupt:
        return
