"""`weft observe`: flow records as they come, each with the policy and rule that decided."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cli import names, terminal
from cli.completing import complete_pod
from cli.document import Json, key_of, text
from cli.flowlines import flow_line
from cli.formats import Format, as_json_line, one
from cli.listing import namespace_option_that, output_option
from cli.spans import instant_ns
from cli.target import Target
from cli.words import examples

if TYPE_CHECKING:
    from cli.client import Admin, FlowQuestion

NEAR = 5


def _since(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int:
    if not value:
        return 0
    try:
        return instant_ns(value, now_ns=time.time_ns())
    except click.BadParameter as error:
        also = "" if "T" in value else ", or a time such as 2026-01-31T12:00:00Z"
        raise click.BadParameter(f"{error.message}{also}") from error


def _status(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        shape = value.lower()
        if not (len(shape) == 3 and shape[0] in "12345" and (shape[1:] == "xx" or shape[1:].isdecimal())):
            raise click.BadParameter(f"{value!r} is no HTTP status; write for example 403 or 5xx")
    return tuple(value.lower() for value in values)


@click.command(
    epilog=examples(
        "weft observe --since 5m --verdict deny",
        "weft observe -f --from shop/client --to shop/payments",
        "weft observe -f --http-status 403 --http-status 5xx -o jsonl",
    )
)
@click.option("-f", "--follow", is_flag=True, help="Go on as flows come, until Ctrl-C.")
@click.option(
    "--since", "since_ns", callback=_since, metavar="TIME", help="A span such as 30s or 1h, or an RFC 3339 time."
)
@click.option("--from", "source", metavar="WHO", shell_complete=complete_pod, help="NS/POD, NS/, address or CIDR.")
@click.option("--to", "destination", metavar="WHO", shell_complete=complete_pod, help="The same, of the other end.")
@click.option("--verdict", type=click.Choice(["allow", "deny", "dryrun"]), help="Only these.")
@click.option("--http-status", multiple=True, callback=_status, metavar="STATUS", help="403 or 5xx; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), default=None, metavar="N", help="The newest N records only.")
@namespace_option_that("Flows with an end in this namespace.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces; this is the default.")
@output_option
@click.pass_obj
def command(
    target: Target,
    *,
    follow: bool,
    since_ns: int,
    source: str | None,
    destination: str | None,
    verdict: str | None,
    http_status: tuple[str, ...],
    limit: int | None,
    namespace: str | None,
    all_namespaces: bool,
    form: Format,
) -> None:
    """Show flows: who called whom, and which rule decided.

    In a pipe one line each; on a terminal that is too narrow for it, more.
    """
    if namespace is not None and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    from cli.client import Admin, FlowQuestion

    question = FlowQuestion(
        follow=follow,
        since_ns=since_ns,
        source=names.placed(source or "", namespace),
        destination=names.placed(destination or "", namespace),
        verdict=verdict or "",
        http_status=http_status,
        limit=limit or 0,
        namespace=namespace or "",
    )
    collected: list[Json] = []
    found = False
    with Admin(target) as admin:
        try:
            if follow:
                _name_strangers(admin, question)
            for flow in admin.observe(question):
                found = True
                if "lost" in flow:
                    terminal.hint(f"weft: {text(flow, 'lost')} records were lost here, they came faster than they went")
                elif form in (Format.JSON, Format.YAML) and not follow:
                    collected.append(flow)
                else:
                    terminal.say(_shown(flow, form))
            if not found and not follow:
                _name_strangers(admin, question)
        except KeyboardInterrupt:
            return
    if form in (Format.JSON, Format.YAML) and not follow:
        terminal.say(one(collected, form))
    elif form.for_people and not found:
        terminal.hint("no flow is recorded that matches (a record takes up to a second to come; the newest are kept)")


def _name_strangers(admin: Admin, question: FlowQuestion) -> None:
    """A misspelt name must not look like silence. Only said: records outlive the pod that they are about."""
    for who in (question.source, question.destination):
        namespace, _, name = who.partition("/")
        if not name or not namespace or any(char in namespace for char in ".:"):
            continue
        pods = admin.get("Pod", namespace=namespace)
        known = {text(pod, "metadata", "name") for pod in pods}
        accounts = {text(pod, "spec", "serviceAccountName", default="default") for pod in pods}
        if name not in known | accounts and not admin.get("Service", namespace=namespace, name=name):
            near = [pod for pod in sorted(known) if pod.startswith(f"{name}-")][:NEAR]
            hint = f"; pods that begin like it: {', '.join(f'{namespace}/{pod}' for pod in near)}" if near else ""
            terminal.hint(f"weft: no pod, account or Service {who} is there now{hint}")


def _shown(flow: Json, form: Format) -> str:
    if form.for_people:
        return flow_line(flow, colour=terminal.colour(), wide=form is Format.WIDE, width=terminal.width())
    if form is Format.NAME:
        return text(flow, "id") or key_of(flow)
    if form is Format.YAML:
        return "---\n" + one(flow, form)
    return as_json_line(flow)
