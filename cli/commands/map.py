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


def fields(found: object, words: object = None) -> str:
    """`identity=shop/checkout#258 flags=allow`; a plain number needs no name."""
    shown = {key: value for key, value in (table(found) | table(words)).items() if value is not None}
    if list(shown) == ["value"]:
        return _said(shown["value"])
    return " ".join(f"{key}={_said(value)}" for key, value in shown.items()) or (
        str(found) if found is not None else ""
    )


def _step(item: Json) -> str:
    """`TCP 8080 allow,final NetworkPolicy shop/x egress[0]`; numbers that say nothing are left out."""
    told = (_said(value).strip('"') for key, value in item.items() if value or key == "port")
    return " ".join(word for word in told if word != "none")


def _said(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return " | ".join(_step(item) for item in value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(value) if any(" " in item for item in value) else ",".join(value) or "none"
    if not isinstance(value, str | int | float):
        return json.dumps(value)
    return f'"{value}"' if " " in str(value) else str(value)


VIEW = View(
    columns=(
        Column(header="NODE", value=lambda row: text(row, "node")),
        Column(header="KEY", value=lambda row: fields(dig(row, "key"), dig(row, "words", "key"))),
        Column(header="VALUE", value=lambda row: fields(dig(row, "value"), dig(row, "words", "value"))),
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
    answered with the names that do. In policy each step holds from its protocol and port on, until the next one.
    """
    noderows.show(target, listing, VIEW, "map-dump", _arguments(name), node=node, keys=("entries", "items"))


def _arguments(name: str) -> Json:
    return {"name": name}
