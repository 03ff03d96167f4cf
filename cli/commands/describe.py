"""`weft describe`: one object in words, for a pod with the policies that select it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import names, terminal
from cli.completing import complete_kind, complete_object
from cli.describing import describe
from cli.document import Json, rows
from cli.errors import DoesNotHold, Refused
from cli.formats import Format, one
from cli.kinds import find
from cli.listing import namespace_option, output_option
from cli.target import Target
from cli.words import examples

if TYPE_CHECKING:
    from cli.client import Admin


@click.command(
    epilog=examples("weft describe pod shop/client", "weft describe mp payments -n shop", "weft describe node node-1")
)
@click.argument("kind", shell_complete=complete_kind)
@click.argument("name", metavar="NAME", shell_complete=complete_object)
@namespace_option
@output_option
@click.pass_obj
def command(target: Target, *, kind: str, name: str, namespace: str | None, form: Format) -> None:
    """Show one object in words."""
    found_kind = find(kind)
    inside, plain = names.of_kind(found_kind, name, namespace)
    from cli.client import Admin

    with Admin(target) as admin:
        found = admin.get(found_kind.name, namespace=inside, name=plain)
        if not found:
            where = f" in namespace {inside}" if inside else ""
            raise DoesNotHold(f"there is no {found_kind.name} {plain!r}{where}")
        policies = selecting(admin, inside, plain) if found_kind.name == "Pod" else []
    if form is Format.NAME:
        terminal.say(f"{inside}/{plain}" if inside else plain)
    elif form.for_people:
        terminal.say(describe(found[0], policies=policies))
    else:
        terminal.say(one(found[0], form))


def selecting(admin: Admin, namespace: str, pod: str) -> list[Json]:
    """The policies that select a pod; none where the controller has not placed it yet."""
    try:
        return rows(admin.policy_show(namespace, pod), "policies")
    except Refused:
        return []
