"""`weft map dump`: the entries of a kernel map, read by the node's agent."""

from __future__ import annotations

import json

import click

from cli import noderows
from cli.completing import complete_map, complete_node
from cli.document import Json, dig, rows, table, text, texts
from cli.formats import View
from cli.grid import Column
from cli.listing import Listing, listing_options
from cli.target import Target
from cli.words import examples


def fields(found: object, words: object = None) -> str:
    """`identity=shop/checkout#258 flags=allow`; a plain number needs no name."""
    shown = {key: value for key, value in (table(found) | table(words)).items() if value is not None}
    if list(shown) == ["value"]:
        return _said(shown["value"])
    return " ".join(f"{key}={_said(value)}" for key, value in shown.items()) or (
        str(found) if found is not None else ""
    )


def _said(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(value) if any(" " in item for item in value) else ",".join(value) or "none"
    if not isinstance(value, str | int | float):
        return json.dumps(value)
    return f'"{value}"' if " " in str(value) else str(value)


VIEW = View(
    columns=(
        Column(header="NODE", value=lambda row: text(row, "node")),
        Column(header="KEY", value=lambda row: fields(dig(row, "key"), dig(row, "words", "key"))),
        Column(header="VALUE", value=lambda row: fields(dig(row, "value"), dig(row, "words", "value")), wrap=True),
    ),
    name=lambda row: f"{text(row, 'node')} {fields(dig(row, 'key'))}",
    empty="the map is empty",
)
POLICY = ("policy", "mesh_policy")
CHAINS = View(
    columns=(
        Column(header="NODE", value=lambda row: text(row, "node")),
        Column(header="SET", value=lambda row: text(row, "set"), right=True),
        Column(header="DIRECTION", value=lambda row: text(row, "direction")),
        Column(header="PEER", value=lambda row: text(row, "identity")),
        Column(header="SAYS", value=lambda row: says(row), wrap=True),
    ),
    name=lambda row: " ".join(text(row, key) for key in ("node", "set", "direction", "identity")),
    empty=VIEW.empty,
)


def says(chain: Json) -> str:
    """`TCP 80,443: allow,final NetworkPolicy shop/x egress[0]; UDP: deny ...`."""
    return "; ".join(
        f"{text(said, 'ports')}: {' '.join([','.join(texts(said, 'flags')), ', '.join(texts(said, 'rules'))])}".rstrip()
        for said in rows(chain, "says")
    )


@click.group(name="map", epilog=examples("weft map dump ipcache --node node-1"))
def command() -> None:
    """Maps: what the kernel programs look things up in."""


@command.command(
    name="dump",
    epilog=examples(
        "weft map dump policy --node node-1",
        "weft map dump policy -o jsonl   # page by page",
        "weft map dump endpoint",
    ),
)
@click.argument("name", metavar="NAME", shell_complete=complete_map)
@click.option("--node", default="", metavar="NODE", shell_complete=complete_node, help="Of this node only.")
@listing_options
@click.pass_obj
def dump(target: Target, *, name: str, node: str, listing: Listing) -> None:
    """Entries of a map by its name.

    NAME is ipcache, endpoint, policy, conntrack, service, backend, redirect or another; a name that does not exist is
    answered with the names that do.

    In tables, policy has a row for what a set says of one peer in one direction, with the ports of which something is
    said. The other formats give every map's entries as the kernel has them.
    """
    if name in POLICY and listing.form.for_people:
        arguments: Json = {"name": name, "chains": True}
        noderows.show(target, listing, CHAINS, "map-dump", arguments, node=node, keys=("chains",))
    else:
        noderows.show(target, listing, VIEW, "map-dump", {"name": name}, node=node, keys=("entries", "items"))
