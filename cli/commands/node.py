"""`weft node list`: the nodes, their agents and how far each has come."""

from __future__ import annotations

import click

from cli.document import Json, rows, table, text, texts
from cli.formats import View
from cli.grid import Column
from cli.listing import Listing, listing_options, run
from cli.statustext import NODES
from cli.target import Target
from cli.words import examples

VIEW = View(
    columns=(
        *NODES,
        Column(header="POD-CIDRS", value=lambda row: ",".join(texts(row, "podCIDRs")), wide=True),
        Column(header="ADDRESSES", value=lambda row: ",".join(texts(row, "addresses")), wide=True),
    ),
    name=lambda row: text(row, "name"),
    empty="no nodes",
)


def combine(status: Json, nodes: list[Json]) -> list[Json]:
    """What the agents say, with what the Node objects say; a Node without an agent is shown as `no agent`."""
    objects = {text(node, "metadata", "name"): node for node in nodes}
    heard = {text(node, "name"): node for node in rows(status, "nodes")}
    combined: list[Json] = []
    for name in sorted({*objects, *heard}):
        node = objects.get(name, {})
        agent = heard.get(name, {"name": name, "state": "no agent"})
        single = text(node, "spec", "podCIDR")
        combined.append(
            {
                **table(agent),
                "podCIDRs": texts(node, "spec", "podCIDRs") or ([single] if single else []),
                "addresses": [text(entry, "address") for entry in rows(node, "status", "addresses")],
            }
        )
    return combined


@click.group(name="node", epilog=examples("weft node list", "weft node list -o wide"))
def command() -> None:
    """Nodes and their agents."""


@command.command(name="list", epilog=examples("weft node list -o json", "weft node list -w"))
@listing_options
@click.pass_obj
def listed(target: Target, *, listing: Listing) -> None:
    """Nodes, whether their agents are connected, and what they enforce."""
    from cli.client import Admin

    with Admin(target) as admin:
        run(listing, VIEW, lambda: combine(admin.status(), admin.get("Node")))
