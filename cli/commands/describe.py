"""`weft describe`: one object in words, for a pod with the policies that select it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import names, terminal
from cli.commands.service import SERVICE_NAME_LABEL, backends
from cli.completing import complete_kind, complete_object
from cli.describing import describe
from cli.document import Json, rows, text
from cli.errors import NotThere
from cli.formats import Format, one
from cli.listing import namespace_option, output_option
from cli.target import Target
from cli.words import examples

if TYPE_CHECKING:
    from cli.client import Admin


@click.command(
    epilog=examples(
        "weft describe pod shop/client                # or: pod/client -n shop",
        "weft describe mp payments -n shop",
        "weft describe svc shop/payments              # with the addresses behind it",
        "weft describe node node-1",
    )
)
@click.argument("kind", shell_complete=complete_kind)
@click.argument("name", metavar="NAME", required=False, shell_complete=complete_object)
@namespace_option
@output_option
@click.pass_obj
def command(target: Target, *, kind: str, name: str | None, namespace: str | None, form: Format) -> None:
    """Show one object in words."""
    wanted = names.objects((kind, name) if name else (kind,), namespace)
    if len(wanted) != 1:
        raise click.UsageError("describe shows one object: weft describe KIND NAME")
    found_kind, inside, plain = wanted[0]
    from cli.client import Admin

    with Admin(target) as admin:
        found = admin.get(found_kind.name, namespace=inside, name=plain)
        if not found:
            raise NotThere(names.missing(found_kind.name, inside, plain))
        policies = selecting(admin, inside, plain) if found_kind.name == "Pod" else []
        behind = behind_service(admin, inside, plain) if found_kind.name == "Service" else []
    if form is Format.NAME:
        terminal.say(f"{inside}/{plain}" if inside else plain)
    elif form.for_people:
        terminal.say(describe(found[0], policies=policies, behind=behind))
    else:
        terminal.say(one(found[0], form))


def selecting(admin: Admin, namespace: str, pod: str) -> list[Json]:
    """The policies that select a pod; none where the controller has not placed it yet."""
    try:
        return rows(admin.policy_show(namespace, pod), "policies")
    except NotThere:
        return []


def behind_service(admin: Admin, namespace: str, service: str) -> list[Json]:
    """The ready addresses of a Service."""
    pieces = admin.get("EndpointSlice", namespace=namespace)
    return backends([piece for piece in pieces if text(piece, "metadata", "labels", SERVICE_NAME_LABEL) == service])
