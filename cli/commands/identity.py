"""`weft identity list`: the numbers that policy speaks about, and what each stands for."""

from __future__ import annotations

import click

from cli.document import Json, dig, number, text, texts
from cli.formats import View
from cli.grid import Column
from cli.listing import Listing, listing_options, run
from cli.reserved import reserved_name
from cli.selectors import labels
from cli.target import Target
from cli.words import examples


def stands_for(row: Json) -> str:
    """The prefix of an address, the labels of a pod, the name of a reserved one."""
    if text(row, "kind") == "reserved":
        return reserved_name(number(row, "id"))
    return text(row, "prefix") or labels(dig(row, "labels")) or ",".join(texts(row, "entities"))


VIEW = View(
    columns=(
        Column(header="ID", right=True, value=lambda row: text(row, "id")),
        Column(header="KIND", value=lambda row: text(row, "kind")),
        Column(header="NAMESPACE", value=lambda row: text(row, "namespace")),
        Column(header="SERVICE-ACCOUNT", value=lambda row: text(row, "serviceAccount")),
        Column(header="STANDS-FOR", value=stands_for, shrink=True),
        Column(header="PODS", value=lambda row: ",".join(texts(row, "pods")), wide=True),
        Column(header="BLOCKS", value=lambda row: ",".join(texts(row, "blocks")), wide=True),
        Column(header="NAMESPACE-LABELS", value=lambda row: labels(dig(row, "namespaceLabels")), wide=True),
    ),
    name=lambda row: text(row, "id"),
    empty="no identities",
)


@click.group(name="identity", epilog=examples("weft identity list", "weft identity list -n shop -o json"))
def command() -> None:
    """Identities: the numbers that policy speaks about."""


@command.command(name="list", epilog=examples("weft identity list -o wide", "weft identity list -n shop"))
@listing_options
@click.pass_obj
def listed(target: Target, *, listing: Listing) -> None:
    """Identities and what they stand for.

    With -n those of a namespace's pods.
    """
    from cli.client import Admin

    with Admin(target) as admin:
        run(listing, VIEW, lambda: [row for row in admin.identities() if listing.takes(text(row, "namespace"))])
