"""`weft endpoint list`: the pods that agents hold, and whether policy is in force for each."""

from __future__ import annotations

import click

from cli import noderows
from cli.completing import complete_node
from cli.document import text, texts
from cli.formats import View
from cli.grid import Column
from cli.listing import Listing, listing_options
from cli.target import Target
from cli.words import examples

STATES = {"enforced": "green", "discovered": "yellow", "identified": "yellow", "gone": "dim"}

VIEW = View(
    columns=(
        Column(header="NAMESPACE", value=lambda row: text(row, "namespace"), shrink=True),
        Column(header="POD", value=lambda row: text(row, "pod"), shrink=True),
        Column(header="NODE", value=lambda row: text(row, "node")),
        Column(header="STATE", value=lambda row: text(row, "state"), colours=STATES),
        Column(header="IDENTITY", right=True, value=lambda row: ",".join(texts(row, "identities"))),
        Column(header="IPS", value=lambda row: ",".join(texts(row, "ips")), shrink=True),
        Column(header="ID", right=True, wide=True, value=lambda row: text(row, "id")),
        Column(header="IFACE", wide=True, value=lambda row: text(row, "hostIfname")),
        Column(header="IFINDEX", right=True, wide=True, value=lambda row: text(row, "ifindex")),
        Column(header="SET", right=True, wide=True, value=lambda row: text(row, "policySet")),
        Column(header="EPOCH", right=True, wide=True, value=lambda row: text(row, "epoch")),
    ),
    name=lambda row: f"{text(row, 'namespace')}/{text(row, 'pod')}",
    empty="no endpoints",
)


@click.group(name="endpoint", epilog=examples("weft endpoint list", "weft endpoint list -n shop -o wide"))
def command() -> None:
    """Endpoints: pods attached to a node's datapath."""


@command.command(name="list", epilog=examples("weft endpoint list --node node-1", "weft endpoint list -w"))
@click.option("--node", default="", metavar="NODE", shell_complete=complete_node, help="Of this node only.")
@listing_options
@click.pass_obj
def listed(target: Target, *, node: str, listing: Listing) -> None:
    """Endpoints of all nodes, with their state and identity."""
    noderows.show(target, listing, VIEW, "endpoint-list", {}, node=node, keys=("endpoints",))
