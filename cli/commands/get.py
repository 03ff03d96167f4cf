"""`weft get`: objects as they are in the store, as kubectl shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from cli import columns, document, names, terminal
from cli.completing import complete_kind, complete_object
from cli.document import Json
from cli.errors import NotThere
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
        "weft get mp shop/payments -o yaml            # or: mp/payments -n shop",
        "weft get pods -n shop -w                     # a line for each change",
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
    by_name = bool(references) or "/" in kind_words
    if by_name and (listing.all_namespaces or "," in kind_words):
        raise click.UsageError("a NAME goes with one kind, and not with -A")
    wanted = names.objects((kind_words, *references), listing.namespace) if by_name else []
    kinds = tuple(dict.fromkeys(kind for kind, _, _ in wanted)) if by_name else find_many(kind_words)
    from cli.client import Admin

    with Admin(target) as admin:
        absent = _show_named(admin, wanted, listing) if by_name else _show_kinds(admin, kinds, listing)
        if absent:
            raise NotThere("; ".join(absent))
        if listing.watch:
            keys = {(kind.name, f"{namespace}/{name}" if namespace else name) for kind, namespace, name in wanted}
            _follow(admin.watch([kind.name for kind in kinds]), kinds, listing, keys)


def _show_named(admin: Admin, wanted: Sequence[tuple[Kind, str, str]], listing: Listing) -> list[str]:
    """Shows those that there are; the sentences about the others."""
    found: list[tuple[Kind, list[Json]]] = []
    absent = []
    for kind, namespace, name in wanted:
        objects = admin.get(kind.name, namespace=namespace, name=name)
        if not objects:
            absent.append(names.missing(kind.name, namespace, name))
        elif found and found[-1][0] is kind:
            found[-1][1].extend(objects)
        else:
            found.append((kind, objects))
    if len(wanted) == 1 and found and listing.form in (Format.JSON, Format.YAML):
        terminal.say(one(found[0][1][0], listing.form))
    elif found:
        several = len({namespace for _, namespace, _ in wanted}) > 1
        _show_groups(found, listing, with_namespace=several)
    return absent


def _namespace(kind: Kind, listing: Listing) -> str:
    """The one that is asked for; empty for all."""
    if not kind.namespaced or listing.all_namespaces:
        return ""
    return listing.namespace or names.DEFAULT_NAMESPACE


def _show_kinds(admin: Admin, kinds: Sequence[Kind], listing: Listing) -> list[str]:
    """Shows every object of the kinds; none can be absent."""
    groups = [(kind, admin.get(kind.name, namespace=_namespace(kind, listing))) for kind in kinds]
    if listing.form.for_people and not any(items for _, items in groups):
        where = (
            ""
            if listing.all_namespaces or not any(kind.namespaced for kind in kinds)
            else (f" in namespace {listing.namespace or names.DEFAULT_NAMESPACE} (-A shows all namespaces)")
        )
        terminal.hint(f"no {', '.join(kind.plural for kind in kinds)}{where}")
    else:
        _show_groups(groups, listing, with_namespace=listing.all_namespaces)
    return []


def _show_groups(groups: Sequence[tuple[Kind, Sequence[Json]]], listing: Listing, *, with_namespace: bool) -> None:
    """A table for each kind; for programs one list."""
    if not listing.form.for_people:
        every = [item for _, items in groups for item in items]
        naming = document.key_of if len(groups) == 1 else columns.kinded
        show(every, listing, View(columns=(), name=naming), whole=as_list(every))
        return
    shown = [(kind, items) for kind, items in groups if items]
    for position, (kind, items) in enumerate(shown):
        if len(groups) > 1:
            terminal.say(("\n" if position else "") + f"{kind.plural}:")
        show(items, listing, columns.view(kind, with_namespace=with_namespace))


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


def _follow(
    events: Iterator[tuple[str, Json]], kinds: Sequence[Kind], listing: Listing, keys: set[tuple[str, str]]
) -> None:
    by_name = {kind.name: kind for kind in kinds}
    try:
        for verb, item in later(events):
            kind = by_name.get(document.text(item, "kind"))
            wanted = (
                (document.text(item, "kind"), document.key_of(item)) in keys
                if keys
                else kind is not None
                and (_namespace(kind, listing) in ("", document.text(item, "metadata", "namespace")))
            )
            if kind is not None and wanted:
                view = columns.view(kind, with_namespace=listing.all_namespaces)
                show_change(item, listing, view, removed=verb == "remove")
    except KeyboardInterrupt:
        return
