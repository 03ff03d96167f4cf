"""`weft delete`: takes objects away, by file or by name."""

from __future__ import annotations

import click

from cli import names, terminal
from cli.changes import joined, report
from cli.completing import complete_kind, complete_object
from cli.errors import NotThere
from cli.formats import Format
from cli.kinds import find
from cli.listing import namespace_option, output_option
from cli.manifests import read_all
from cli.target import Target
from cli.words import examples


@click.command(
    epilog=examples(
        "weft delete -f policy.yaml",
        "weft delete netpol shop/web                  # or: netpol/web -n shop",
        "weft delete pod client -n shop --ignore-not-found",
    )
)
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    metavar="PATH",
    type=click.Path(allow_dash=True),
    help="The objects of a file or directory, or - for standard input. May be repeated.",
)
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no error.")
@click.argument("kind", required=False, shell_complete=complete_kind)
@click.argument("references", nargs=-1, metavar="[NAME]...", shell_complete=complete_object)
@namespace_option
@output_option
@click.pass_obj
def command(
    target: Target,
    *,
    paths: tuple[str, ...],
    ignore_not_found: bool,
    kind: str | None,
    references: tuple[str, ...],
    namespace: str | None,
    form: Format,
) -> None:
    """Delete objects.

    Exit status 1 if one is not there; the others are deleted, but of a file's objects all or none.
    """
    if bool(paths) == bool(kind):
        raise click.UsageError("say what to delete: either -f PATH, or KIND NAME")
    if kind and not references and "/" not in kind:
        raise click.UsageError(f"which {find(kind).name}? Write: weft delete {kind} NAME")
    wanted = names.objects((kind, *references), namespace) if kind else []
    manifests = read_all(paths) if paths else []
    absent: list[str] = []
    from cli.client import Admin

    with Admin(target) as admin:
        if paths:
            applied = admin.delete(manifests, ignore_missing=ignore_not_found)
        else:
            parts = []
            for found, inside, name in wanted:
                try:
                    parts.append(admin.delete_object(found.name, inside, name, ignore_missing=ignore_not_found))
                except NotThere as error:
                    absent.append(error.message)
            applied = joined(parts)
    for warning in applied.warnings:
        terminal.hint(f"warning: {warning}")
    report(applied, form)
    if absent:
        raise NotThere("; ".join(absent))
