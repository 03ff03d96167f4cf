"""`weft map dump`: the entries of a kernel map, read by the node's agent."""

from __future__ import annotations

import json

import click

from cli import noderows
from cli.completing import complete_map, complete_node
from cli.document import Json, dig, table, text
from cli.formats import View
from cli.grid import Column
from cli.listing import Listing, listing_options
from cli.target import Target
from cli.words import examples


def fields(found: object) -> str:
    """`identity=256 flags=2`."""
    return " ".join(
        f"{key}={value if isinstance(value, str | int | float) else json.dumps(value)}"
        for key, value in table(found).items()
    ) or (str(found) if found is not None else "")


VIEW = View(
    columns=(
        Column(header="NODE", value=lambda row: text(row, "node")),
        Column(header="KEY", value=lambda row: fields(dig(row, "key"))),
        Column(header="VALUE", value=lambda row: fields(dig(row, "value"))),
    ),
    name=lambda row: f"{text(row, 'node')} {fields(dig(row, 'key'))}",
    empty="the map is empty",
)


@click.group(name="map", epilog=examples("weft map dump ipcache --node node-1"))
def command() -> None:
    """Maps: what the kernel programs look things up in."""


@command.command(
    name="dump",
    epilog=examples("weft map dump policy --node node-1", "weft map dump ipcache -o jsonl", "weft map dump endpoint"),
)
@click.argument("name", metavar="NAME", shell_complete=complete_map)
@click.option("--node", default="", metavar="NODE", shell_complete=complete_node, help="Of this node only.")
@listing_options
@click.pass_obj
def dump(target: Target, *, name: str, node: str, listing: Listing) -> None:
    """Entries of a map by its name.

    NAME is ipcache, endpoint, policy, conntrack, service, backend, redirect or another; a name that does not exist is
    answered with the names that do.
    """
    noderows.show(target, listing, VIEW, "map-dump", _arguments(name), node=node, keys=("entries", "items"))


def _arguments(name: str) -> Json:
    return {"name": name}
