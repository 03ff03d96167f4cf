"""`weft uninstall`: takes weft off this machine again: a lab, or a node's agent. Says what was removed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from cli import programs, terminal
from cli.errors import DoesNotHold
from cli.target import Target, lab_directory
from cli.words import examples

BPFFS = Path("/sys/fs/bpf/weft")
NETNS = Path("/run/netns")
AGENT_FILES = ("agent.sock", "proxy.sock", "proxy.floor", "node.key", "node.crt", "endpoints.json", "snapshot.pb")
CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


@click.command(
    epilog=examples(
        "weft uninstall                       # the lab: pods, nodes, programs, files",
        "weft --lab second uninstall --yes",
        "weft uninstall --instance node --state /var/lib/weft/agent \\",
        "     --cgroup /sys/fs/cgroup/kubepods.slice",
    )
)
@click.option("--instance", metavar="NAME", help="A real node's agent instead of a lab: the name it was started with.")
@click.option("--state", type=click.Path(), metavar="DIR", help="With --instance: its state directory.")
@click.option("--cgroup", type=click.Path(), metavar="PATH", help="With --instance: the cgroup that it was given.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(target: Target, *, instance: str | None, state: str | None, cgroup: str | None, yes: bool) -> None:
    """Remove everything that weft put on this machine.

    For a lab that is what `weft lab down` does. With --instance it is a node's kernel programs, pins, rules and state;
    stop its agent first. Pods of that node are then without policy.
    """
    if instance is None and (state or cgroup):
        raise click.UsageError("--state and --cgroup belong to a node's agent: name it with --instance")
    what = f"lab {target.lab_name}" if instance is None else f"the agent {instance} of this node, and its enforcement"
    if os.geteuid() != 0:
        raise DoesNotHold("uninstall needs root: it removes kernel programs, network namespaces, cgroups and files")
    if not yes:
        _ask(what)
    before = left_of_lab(target.lab_name) if instance is None else left_of_instance(instance, state)
    if not before:
        terminal.hint(f"nothing of {what} was found; cleaning up all the same")
    module, arguments = _plan(target, instance, state, cgroup)
    status = programs.run_aloud(module, arguments)
    after = left_of_lab(target.lab_name) if instance is None else left_of_instance(instance, state)
    for path in before:
        if path not in after:
            terminal.say(f"removed {path}")
    if after:
        raise DoesNotHold(f"still there: {', '.join(map(str, after))}; stop what uses it and run this again")
    if status != 0:
        raise DoesNotHold(f"python -m {module} {' '.join(arguments)} ended with status {status}; see above")
    terminal.say(f"nothing of {what} is left")


def _ask(what: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to confirm; add --yes")
    click.confirm(f"Remove {what}?", abort=True)


def _plan(target: Target, instance: str | None, state: str | None, cgroup: str | None) -> tuple[str, list[str]]:
    if instance is None:
        return "lab", ["down", "--name", target.lab_name]
    arguments = ["uninstall", "--instance", instance]
    for option, value in (("--state", state), ("--cgroup", cgroup)):
        arguments += [option, value] if value else []
    return "agent", arguments


def left_of_instance(instance: str, state: str | None) -> list[Path]:
    """Pins and files of one agent that exist now. Its state directory may hold files of others, a join token say."""
    files = [Path(state) / name for name in AGENT_FILES] if state is not None else []
    found = [BPFFS / instance, *files]
    return [path for path in found if path.exists()]


def left_of_lab(lab: str) -> list[Path]:
    """Pins, network namespaces, cgroups and files of a lab that exist now."""
    pins = sorted(BPFFS.glob(f"{lab}.*"))
    namespaces = [
        path
        for path in sorted(NETNS.glob(f"weft-{lab}-*"))
        if path.name.removeprefix(f"weft-{lab}-").startswith(("fabric", "world", "node-", "pod-"))
    ]
    cgroups = [root / "weft" / lab for root in CGROUPS]
    return [path for path in (*pins, *namespaces, *cgroups, lab_directory(lab)) if path.exists()]
