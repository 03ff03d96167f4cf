"""`weft token`: what a new node shows to the controller, once."""

from __future__ import annotations

import click

from cli import spans, terminal
from cli.completing import complete_node, complete_token
from cli.document import text
from cli.errors import NotThere
from cli.formats import Format, View, one
from cli.grid import Column
from cli.listing import Listing, listing_options, output_option, run
from cli.target import Target
from cli.words import examples


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int:
    return 0 if value is None else max(1, int(spans.seconds(value)))


VIEW = View(
    columns=(
        Column(header="ID", value=lambda row: text(row, "id")),
        Column(
            header="STATE",
            value=lambda row: text(row, "state"),
            colours={"good": "green", "spent": "dim", "expired": "dim"},
        ),
        Column(header="NODE", value=lambda row: text(row, "node", default="any"), shrink=True),
        Column(header="LEFT", right=True, value=lambda row: text(row, "usesLeft")),
        Column(header="USED", right=True, value=lambda row: text(row, "uses"), wide=True),
        Column(header="EXPIRES", value=lambda row: text(row, "expires")),
        Column(header="CREATED", value=lambda row: text(row, "created")),
    ),
    name=lambda row: text(row, "id"),
    empty="there are no join tokens; make one: weft token create",
)


@click.group(
    name="token",
    epilog=examples(
        "(umask 077; weft token create --node node-3 > join-token)",
        "weft token list",
        "weft token delete 8w4k2q",
    ),
)
def command() -> None:
    """Join tokens for nodes."""


@command.command(
    name="create",
    epilog=examples(
        "(umask 077; weft token create --node node-3 --ttl 1h > join-token)",
        "python -m agent --node node-3 --join-token-file join-token ...  # there",
        "weft token create --uses 50 --ttl 1h > join-token  # for a DaemonSet",
    ),
)
@click.option("--node", default="", metavar="NODE", shell_complete=complete_node, help="Good for this node only.")
@click.option(
    "--uses", type=click.IntRange(1, 100_000), metavar="N", help="How many nodes may join with it; 1 without it."
)
@click.option("--ttl", "ttl_s", callback=_seconds, metavar="TIME", help="How long it is good; 24h without it.")
@output_option
@click.pass_obj
def create(target: Target, *, node: str, uses: int | None, ttl_s: int, form: Format) -> None:
    """Make a join token and print it.

    It is a secret: whoever holds it can join as a node, once; with --node as that one only. A node may show it again
    with the same key, should the answer be lost. It also carries the hash of the controller's CA, so the node shows it
    to no one else.
    """
    if node and uses is not None and uses > 1:
        raise click.UsageError("--node is about one node, --uses about many")
    from cli.client import Admin

    with Admin(target) as admin:
        token = admin.create_token(node=node, ttl_s=ttl_s, uses=uses or 1)
    if form.for_people or form is Format.NAME:
        terminal.say(token)
    else:
        terminal.say(one({"token": token}, form))


@command.command(name="list", epilog=examples("weft token list", "weft token list -o json"))
@listing_options
@click.pass_obj
def listed(target: Target, *, listing: Listing) -> None:
    """Tokens that were made, and how far they are used.

    ID is the part of a token before its first dot; the secret is kept by nobody but who was given it. Tokens that have
    expired leave the list when the next one is made. They are the cluster's: -n changes nothing.
    """
    from cli.client import Admin

    with Admin(target) as admin:
        run(listing, VIEW, admin.tokens)


@command.command(
    name="delete",
    epilog=examples("weft token delete 8w4k2q", "weft token list -o name | xargs weft token delete    # all of them"),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=complete_token)
@click.pass_obj
def delete(target: Target, *, ids: tuple[str, ...]) -> None:
    """Revoke tokens: nobody can join with them any more.

    Nodes that have joined stay; they go with: weft delete node NAME. Exit status 1 if one is not there; the others are
    deleted.
    """
    absent: list[str] = []
    from cli.client import Admin

    with Admin(target) as admin:
        for token_id in dict.fromkeys(ids):
            try:
                admin.delete_token(token_id)
                terminal.say(f"token {token_id} deleted")
            except NotThere as error:
                absent.append(error.message)
    if absent:
        raise NotThere("; ".join(absent))
