"""`weft policy show` and `check`: what holds for a pod, and what would become of a flow. Both ask the controller, which
answers with the function that the nodes enforce."""

from __future__ import annotations

import click

from cli import names, terminal
from cli.completing import complete_pod, complete_pod_or_service
from cli.document import text
from cli.errors import DoesNotHold
from cli.formats import Format, one
from cli.listing import namespace_option, output_option
from cli.policytext import shown
from cli.target import Target
from cli.verdicts import check
from cli.words import Words, examples

PROTOCOLS = ["tcp", "udp", "sctp", "icmp", "icmpv6"]


class PolicyWords(Words):
    sections = {"Commands": ("show", "check")}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return {"show": show, "check": policy_check}.get(cmd_name)


@click.command(
    name="policy",
    cls=PolicyWords,
    epilog=examples(
        "weft policy show shop/payments",
        "weft policy check --from shop/client --to shop/payments --port 8080",
    ),
)
def command() -> None:
    """What policy holds, and what it would decide."""


@click.command(epilog=examples("weft policy show shop/payments", "weft policy show payments -n shop -o json"))
@click.argument("pod", metavar="NS/POD", shell_complete=complete_pod)
@namespace_option
@output_option
@click.pass_obj
def show(target: Target, *, pod: str, namespace: str | None, form: Format) -> None:
    """The policies that select a pod, and what they come to."""
    inside, name = names.split(pod, namespace)
    from cli.client import Admin

    with Admin(target) as admin:
        answer = admin.policy_show(inside, name)
    if form.for_people:
        terminal.say(shown(answer, pod=f"{inside}/{name}", wide=form is Format.WIDE))
    elif form is Format.NAME:
        for policy in dict.fromkeys(_policy_names(answer)):
            terminal.say(policy)
    else:
        terminal.say(one(answer, form))


def _policy_names(answer: object) -> list[str]:
    from cli.policytext import policies

    return [f"{kind} {policy}" for kind, policy in policies(answer)]


def _header(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    found = []
    for value in values:
        name, equals, content = value.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{value!r}: write NAME=VALUE")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise click.BadParameter(f"{value!r}: not UTF-8 text")
        found.append((name.strip().lower(), content))
    return tuple(found)


@click.command(
    name="check",
    epilog=examples(
        "weft policy check --from shop/client --to shop/payments --port 8080",
        "weft policy check --from shop/client --to shop/payments --port 8080 \\",
        "     --method POST --path /charge --header x-env=prod",
        "weft policy check --from 203.0.113.7 --to shop/web --port 80 \\",
        "     --expect deny                           # exit 1 if it is allowed",
    ),
)
@click.option("--from", "source", required=True, metavar="NS/POD|CIDR", shell_complete=complete_pod, help="The caller.")
@click.option(
    "--to",
    "destination",
    required=True,
    metavar="NS/POD|NS/SERVICE|ADDRESS",
    shell_complete=complete_pod_or_service,
    help="Whom it calls.",
)
@click.option("--port", metavar="PORT", help="Number or name; not for icmp.")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS, case_sensitive=False),
    default="tcp",
    show_default=True,
    help="Of the flow.",
)
@click.option("--method", metavar="METHOD", help="Of a request; with --path the answer includes L7.")
@click.option("--path", "path", metavar="PATH", help="Of a request, without the query.")
@click.option("--host", metavar="HOST", help="Of a request.")
@click.option("--header", "headers", multiple=True, callback=_header, metavar="K=V", help="Of a request; repeatable.")
@click.option("--expect", type=click.Choice(["allow", "deny"]), help="Exit 1 if the verdict is another.")
@namespace_option
@output_option
@click.pass_obj
def policy_check(
    target: Target,
    *,
    source: str,
    destination: str,
    port: str | None,
    protocol: str,
    method: str | None,
    path: str | None,
    host: str | None,
    headers: tuple[tuple[str, str], ...],
    expect: str | None,
    namespace: str | None,
    form: Format,
) -> None:
    """What would become of a flow or request, and why.

    Exit status 1 is for --expect alone; a pod or Service that does not exist is a refused question, 4.
    """
    protocol = protocol.lower()
    number, port_name = _port(port, protocol)
    if (path or host or headers) and method is None:
        method = "GET"
    if method is not None and path is None:
        path = "/"
    if path is not None and not path.startswith("/") and path != "*":
        raise click.UsageError(f"--path {path}: the path of a request begins with /")
    if host is not None and (host.startswith(".") or ".." in host):
        raise click.UsageError(f"--host {host}: an empty label; the proxy answers 400 to such a request")
    if method is not None and protocol != "tcp":
        raise click.UsageError("a request (--method, --path, --host, --header) goes over tcp")
    from cli.client import Admin
    from mesh.api.codec_question import CheckQuestion

    question = CheckQuestion(
        source=names.placed(source, namespace),
        destination=names.placed(destination, namespace),
        port=number,
        port_name=port_name,
        protocol=protocol,
        method=method or "",
        path=path or "",
        host=host or "",
        headers=headers,
    )
    with Admin(target) as admin:
        answer = admin.policy_check(question)
    verdict = text(answer, "verdict")
    if form.for_people:
        to = f"{question.destination}:{port}" if port else question.destination
        request = f" {method} {path}" if method else ""
        asked = f"{question.source} -> {to} {protocol.upper()}{request}"
        terminal.say(check(answer, question=asked, colour=terminal.colour(), width=terminal.width()))
    else:
        terminal.say(verdict if form is Format.NAME else one(answer, form))
    if expect is not None and verdict != expect:
        raise DoesNotHold(f"expected {expect}, but the verdict is {verdict}")
    if expect == "allow" and text(answer, "needsL7") == "true" and method is None:
        terminal.hint("only some requests are allowed; give --method and --path to ask about one")


def _port(port: str | None, protocol: str) -> tuple[int, str]:
    """(number, name); one of them."""
    if protocol.startswith("icmp"):
        if port is not None:
            raise click.UsageError(f"{protocol} has no ports; leave --port away")
        return 0, ""
    if port is None:
        raise click.UsageError("--port is missing; give a number or the name of a port")
    if not port.isdecimal():
        return 0, port
    if not 1 <= int(port) <= 65535:
        raise click.BadParameter(f"{port} is no port (1 to 65535)", param_hint="--port")
    return int(port), ""
