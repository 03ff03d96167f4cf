"""`weft apply`: gives objects to the controller, all or nothing."""

from __future__ import annotations

from pathlib import Path

import click

from cli import terminal
from cli.changes import report
from cli.formats import Format
from cli.listing import output_option
from cli.manifests import SUFFIXES, read_all
from cli.target import Target
from cli.words import examples


class WithFiles(click.Command):
    """Knows what someone means who names a file without -f."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        paths = [word for word in args if word.endswith(SUFFIXES) or Path(word).exists()]
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            if not paths:
                raise
            raise click.UsageError(f"files are named with -f: weft apply -f {paths[0]}", ctx) from error


@click.command(
    cls=WithFiles,
    epilog=examples(
        "weft apply -f examples/shop",
        "weft apply -f pods.yaml -f policy.yaml       # both or neither",
        "cat policy.yaml | weft apply -f - --dry-run  # only say what would happen",
    ),
)
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    metavar="PATH",
    type=click.Path(allow_dash=True),
    help="A file, a directory (all *.yaml, *.yml, *.json below), or - for standard input. May be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Check, and say what would change; change nothing.")
@output_option
@click.pass_obj
def command(target: Target, *, paths: tuple[str, ...], dry_run: bool, form: Format) -> None:
    """Create or change objects from files.

    With one object refused nothing changes; each reason is one line (file, object, field, reason) and the exit status
    is 4. So it is where no object is given.
    """
    manifests = read_all(paths)
    from cli.client import Admin

    with Admin(target) as admin:
        applied = admin.apply(manifests, dry_run=dry_run)
    for warning in applied.warnings:
        terminal.hint(f"warning: {warning}")
    if not applied.changes:
        terminal.hint("weft: nothing was left to apply")
    report(applied, form, suffix=" (dry run)" if dry_run else "")
