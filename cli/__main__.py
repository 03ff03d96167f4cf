"""The `weft` command: reads which cluster is meant and hands over to the module of the word that follows.

Started as `weft` or `python -m cli`. Start-up is kept short: a command's module, and with it gRPC, is imported only
when it is used.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from cli.completing import complete_lab
from cli.target import choose
from cli.terminal import told
from cli.version import VERSION
from cli.words import Words, examples


class Weft(Words):
    sections = {
        "A cluster on this machine": ("lab",),
        "Objects": ("apply", "delete", "get", "describe"),
        "Policy and traffic": ("policy", "observe"),
        "State": ("status", "endpoint", "identity", "service", "node", "token", "map", "conntrack"),
        "This machine": ("doctor", "uninstall", "completion", "version"),
    }
    modules = {
        "lab": "cli.commands.lab",
        "apply": "cli.commands.apply",
        "delete": "cli.commands.delete",
        "get": "cli.commands.get",
        "describe": "cli.commands.describe",
        "policy": "cli.commands.policy",
        "observe": "cli.commands.observe",
        "status": "cli.commands.status",
        "endpoint": "cli.commands.endpoint",
        "identity": "cli.commands.identity",
        "service": "cli.commands.service",
        "node": "cli.commands.node",
        "token": "cli.commands.token",
        "map": "cli.commands.map",
        "conntrack": "cli.commands.conntrack",
        "doctor": "cli.commands.doctor",
        "uninstall": "cli.commands.uninstall",
        "completion": "cli.commands.completion",
        "version": "cli.commands.version",
    }

    def invoke(self, ctx: click.Context) -> Any:
        """What is wrong with the words is told as all errors are."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            prefix = "Error: "  # click's
            said = told(prefix + error.format_message()).removeprefix(prefix)
            raise click.UsageError(said, error.ctx) from error


@click.command(
    cls=Weft,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "weft doctor                          # can this machine run weft?",
        "weft lab up examples/shop            # a cluster of network namespaces",
        "weft policy check --from shop/client --to shop/payments --port 8080",
        "weft observe -f --verdict deny       # what is refused, and by which rule",
        "weft --lab other get pods -A         # another lab of this machine",
    ),
)
@click.option(
    "--lab",
    metavar="NAME",
    shell_complete=complete_lab,
    help="The lab to speak to (or WEFT_LAB); without it the lab 'default'.",
)
@click.option(
    "--controller", metavar="unix:PATH", help="A controller's admin socket (or WEFT_CONTROLLER), instead of a lab."
)
@click.version_option(VERSION, prog_name="weft", message="%(prog)s %(version)s")
@click.pass_context
def weft(context: click.Context, lab: str | None, controller: str | None) -> None:
    """weft: a service mesh without sidecars.

    Identity and policy in the kernel, HTTP in one proxy per node. Exit status: 0 done, 1 the condition does not hold,
    2 usage, 3 a component cannot be reached, 4 the input was refused.
    """
    context.obj = choose(lab=lab, controller=controller, environment=os.environ)


def main(arguments: list[str] | None = None, **extra: Any) -> None:
    """Entry point of the console script."""
    weft.main(args=arguments, prog_name="weft", **extra)


if __name__ == "__main__":
    main(sys.argv[1:])
