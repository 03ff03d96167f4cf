"""`weft token create`: what a new node shows to the controller, once."""

from __future__ import annotations

import click

from cli import spans, terminal
from cli.completing import complete_node
from cli.formats import Format, one
from cli.listing import output_option
from cli.target import Target
from cli.words import examples


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int:
    return 0 if value is None else max(1, int(spans.seconds(value)))


@click.group(name="token", epilog=examples("(umask 077; weft token create --node node-3 > join-token)"))
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
@click.option("--uses", type=click.IntRange(1, 100_000), help="How many nodes may join with it; 1 without it.")
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
