"""`weft conntrack list`: the flows that the kernel programs know."""

from __future__ import annotations

import click

from cli import noderows
from cli.completing import complete_node
from cli.document import Json, number, text, texts
from cli.formats import View
from cli.grid import Column
from cli.listing import Listing, listing_options
from cli.target import Target
from cli.words import examples


def _end(row: Json, address: str, port: str) -> str:
    ip, found = text(row, address), number(row, port)
    shown = f"[{ip}]" if ":" in ip else ip
    return f"{shown}:{found}" if found else ip


def _endpoint(row: Json) -> str:
    """`shop/client:40000`: its address is known by the pod, so the peer's is enough for a row."""
    port = number(row, "sport" if text(row, "direction") == "egress" else "dport")
    return text(row, "endpoint") + (f":{port}" if port else "")


def _peer(row: Json) -> str:
    if text(row, "direction") == "egress":
        return _end(row, "destination", "dport")
    return _end(row, "source", "sport")


VIEW = View(
    columns=(
        Column(header="NODE", value=lambda row: text(row, "node")),
        Column(header="ENDPOINT", value=_endpoint, shrink=True),
        Column(header="FLOW", value=lambda row: f"{text(row, 'direction')} {text(row, 'protocol')}"),
        Column(header="PEER", value=_peer),
        Column(header="SOURCE", wide=True, value=lambda row: _end(row, "source", "sport")),
        Column(header="DESTINATION", wide=True, value=lambda row: _end(row, "destination", "dport")),
        Column(header="FLAGS", wide=True, value=lambda row: ",".join(texts(row, "flags"))),
        Column(header="PACKETS", right=True, wide=True, value=lambda row: text(row, "packets")),
        Column(header="BYTES", right=True, wide=True, value=lambda row: text(row, "bytes")),
        Column(header="EPOCH", right=True, wide=True, value=lambda row: text(row, "epoch")),
        Column(header="EXPIRES", right=True, wide=True, value=lambda row: text(row, "expiresInSeconds")),
    ),
    name=lambda row: " ".join(
        (
            text(row, "node"),
            text(row, "endpoint"),
            text(row, "direction"),
            text(row, "protocol"),
            _end(row, "source", "sport"),
            _end(row, "destination", "dport"),
        )
    ),
    empty="no known flows",
)


@click.group(name="conntrack", epilog=examples("weft conntrack list", "weft conntrack list --node node-1 -o jsonl"))
def command() -> None:
    """Conntrack: the flows that the kernel programs know."""


@command.command(
    name="list", epilog=examples("weft conntrack list --node node-1", "weft conntrack list -n shop -o wide")
)
@click.option("--node", default="", metavar="NODE", shell_complete=complete_node, help="Of this node only.")
@listing_options
@click.pass_obj
def listed(target: Target, *, node: str, listing: Listing) -> None:
    """Known flows of all nodes."""
    noderows.show(target, listing, VIEW, "conntrack-list", {}, node=node, keys=("entries", "flows"))
