"""`weft lab`: a cluster of network namespaces on this machine.

`up`, `down` and `exec` become `python -m lab`, so streams and exit status are exact; the rest asks the
lab's supervisor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from cli import labtext, names, programs, supervisor, terminal
from cli.completing import complete_lab, complete_logs, complete_node, complete_pod
from cli.document import Json, rows, table, text
from cli.formats import Format, one
from cli.listing import namespace_option, output_option
from cli.target import Target, of_lab
from cli.words import Words, examples

COMPONENTS = ["agent", "proxy", "controller"]


class LabWords(Words):
    sections = {"Commands": ("up", "status", "exec", "logs", "restart", "kill", "down")}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return {
            "up": up,
            "status": status,
            "exec": execute,
            "logs": logs,
            "restart": restart,
            "kill": kill,
            "down": down,
        }.get(cmd_name)


def _named(context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    """`--name` of a lab command is `--lab` of the whole."""
    if name is not None:
        before = context.find_root().params.get("lab")
        if before is not None and before != name:
            raise click.UsageError(f"--lab {before} and --name {name} are different labs")
        context.obj = of_lab(name)
    return name


def name_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--name",
        callback=_named,
        expose_value=False,
        is_eager=True,
        metavar="NAME",
        shell_complete=complete_lab,
        help="The lab; the same as --lab before the command.",
    )(command)


@click.command(
    name="lab",
    cls=LabWords,
    epilog=examples(
        "weft lab up examples/shop",
        "weft lab exec shop/client -- curl -s http://payments:8080/",
        "weft lab down",
    ),
)
def command() -> None:
    """A cluster of network namespaces on this machine.

    Real agent, kernel programs, proxy and controller; only the kubelet is replaced.
    """


@click.command(
    epilog=examples("weft lab up examples/shop", "weft lab up --name second pods.yaml policies/"),
)
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(exists=True, allow_dash=True, readable=False),  # access(2) denies what a capability would open
)
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Worker processes of each node's proxy.")
@name_option
@click.pass_obj
def up(target: Target, *, paths: tuple[str, ...], workers: int | None) -> None:
    """Start a lab from manifests.

    PATH is a file, a directory (all *.yaml, *.yml, *.json below), or - for standard input.
    Returns when all policies are enforced and all pods' commands run.
    """
    shape = ["--progress", "tty"] if terminal.colour() else []
    amount = ["--workers", str(workers)] if workers is not None else []
    programs.become("lab", ["up", "--name", target.lab_name, *shape, *amount, *paths])


@click.command(epilog=examples("weft lab down", "weft lab down --name second"))
@name_option
@click.pass_obj
def down(target: Target) -> None:
    """Stop a lab and remove all of it.

    Also what an interrupted `up` has left.
    """
    programs.become("lab", ["down", "--name", target.lab_name])


@click.command(
    name="exec",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    epilog=examples(
        "weft lab exec shop/client -- curl -s http://payments:8080/",
        "weft lab exec -n shop client -- sh -c 'ip address; ss -tn'",
    ),
)
@name_option
@namespace_option
@click.argument("pod", metavar="NS/POD", shell_complete=complete_pod)
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def execute(target: Target, *, pod: str, arguments: tuple[str, ...], namespace: str | None) -> None:
    """Run a command in a pod.

    It has the pod's network, cgroup and DNS, and the host's files.
    Streams and the exit status are the command's own.
    Instead of a pod: world (outside of the cluster), or node:NAME.
    """
    wanted = arguments[1:] if arguments[0] == "--" else arguments
    if not wanted:
        raise click.UsageError("which command? Write: weft lab exec NS/POD -- COMMAND...")
    no_pod = namespace is None and (pod == "world" or pod.startswith("node:"))
    place = pod if no_pod else "/".join(names.split(pod, namespace))
    programs.become("lab", ["exec", "--name", target.lab_name, place, "--", *wanted])


@click.command(epilog=examples("weft lab status", "weft lab status -o json"))
@name_option
@click.option("-w", "--watch", is_flag=True, help="Print again when something changes, until Ctrl-C.")
@output_option
@click.pass_obj
def status(target: Target, *, watch: bool, form: Format) -> None:
    """Processes and pods of the lab."""
    answer = _status(target)
    _show(answer, target, form)
    try:
        while watch:
            time.sleep(1.0)
            fresh = _status(target)
            if fresh != answer:
                _show(fresh, target, form)
            answer = fresh
    except KeyboardInterrupt:
        return


def _status(target: Target) -> Json:
    return table(supervisor.call(target, {"call": "status"}, within_s=supervisor.GLANCE_S))


def _show(answer: Json, target: Target, form: Format) -> None:
    if form.for_people:
        wide = form is Format.WIDE
        terminal.say(
            labtext.shown(
                answer,
                lab=target.lab_name,
                colour=terminal.colour(),
                width=terminal.width(),
                wide=wide,
            )
        )
    elif form is Format.NAME:
        for name in labtext.names(answer):
            terminal.say(name)
    else:
        terminal.say(one(answer, form))


component_argument = click.argument("component", type=click.Choice(COMPONENTS))
node_option = click.option(
    "--node",
    default="",
    metavar="NODE",
    shell_complete=complete_node,
    help="On this node only; else on all.",
)


@click.command(epilog=examples("weft lab restart proxy", "weft lab restart agent --node node-1"))
@component_argument
@node_option
@name_option
@click.pass_obj
def restart(target: Target, *, component: str, node: str) -> None:
    """Restart a component gracefully: no connection fails."""
    _act(target, "restart", component, node)


@click.command(epilog=examples("weft lab kill agent", "weft lab kill proxy --node node-2"))
@component_argument
@node_option
@name_option
@click.pass_obj
def kill(target: Target, *, component: str, node: str) -> None:
    """Kill a component (SIGKILL).

    To see what it takes along. The lab starts it again.
    """
    _act(target, "kill", component, node)


def _act(target: Target, call: str, component: str, node: str) -> None:
    answer = supervisor.call(target, _question(call, component, node))
    done = {"restart": "restarted", "kill": "killed"}[call]
    processes = rows(answer, "components") or rows({"rows": answer}, "rows")
    if not processes:
        terminal.say(f"{component}{f' on {node}' if node else ''} {done}")
    for process in processes:
        where = f" on {text(process, 'node')}" if text(process, "node") else ""
        pid = f" (pid {text(process, 'pid')})" if text(process, "pid") else ""
        terminal.say(f"{text(process, 'component', default=component)}{where} {done}{pid}")


def _question(call: str, component: str, node: str) -> Json:
    return {"call": call, "component": component, **({"node": node} if node else {})}


@click.command(epilog=examples("weft lab logs agent --node node-1", "weft lab logs proxy -f"))
@click.argument("component", metavar="COMPONENT|NS/POD", shell_complete=complete_logs)
@node_option
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until Ctrl-C.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@name_option
@click.pass_obj
def logs(target: Target, *, component: str, node: str, follow: bool, tail: int | None) -> None:
    """What a component or a pod has written.

    COMPONENT is agent, proxy, access (the proxy's access log), controller or supervisor. Where there is one for each
    node, all are shown, each line with its origin.
    """
    question = _question("logs", component, node) | {"follow": follow}
    if tail is not None:
        question["tail"] = tail
    try:
        for line in supervisor.log_lines(target, question):
            terminal.say(line)
    except KeyboardInterrupt:
        return
