"""`weft doctor`: can this machine run weft, and does what runs here answer?"""

from __future__ import annotations

import importlib.util
import json
import subprocess

import click

from cli import programs, statustext, terminal
from cli.checks import Check, State, documents, from_preflight, lines, machine, merged, worst
from cli.document import Json, rows, table, text, texts
from cli.errors import DoesNotHold, Unreachable, WeftError
from cli.formats import Format, as_json_line, one
from cli.listing import output_option
from cli.target import Target, lab_directory
from cli.words import examples

PREFLIGHT = "agent.datapath.preflight"
PREFLIGHT_WITHIN_S = 120.0


@click.command(epilog=examples("weft doctor", "weft doctor -o json", "weft --lab second doctor"))
@output_option
@click.pass_obj
def command(target: Target, *, form: Format) -> None:
    """Check this machine, and what runs on it, line by line.

    Each line is ok, warn or fail, with what to do. Exit status 1 if one fails.
    """
    from cli.facts import look

    facts = look()
    checks = [*merged(machine(facts), preflight()), *running(target, root=facts.user_id == 0)]
    if form.for_people:
        terminal.say(lines(checks, colour=terminal.colour(), width=terminal.width()))
    elif form is Format.NAME:
        for check in checks:
            terminal.say(check.check)
    elif form is Format.JSONL:
        for row in documents(checks):
            terminal.say(as_json_line(row))
    else:
        terminal.say(one(documents(checks), form))
    if worst(checks) is State.FAIL:
        failed = [check.check for check in checks if check.state is State.FAIL]
        raise DoesNotHold(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def preflight() -> list[Check]:
    """What the agent itself checks, for example that its kernel programs load."""
    if importlib.util.find_spec("agent.datapath") is None or importlib.util.find_spec(PREFLIGHT) is None:
        return [Check("agent", State.FAIL, f"{PREFLIGHT} is not installed", "install weft whole: make setup")]
    try:
        done = programs.run(PREFLIGHT, ["--json"], timeout_s=PREFLIGHT_WITHIN_S)
    except subprocess.TimeoutExpired:
        late = f"{PREFLIGHT} did not end within {PREFLIGHT_WITHIN_S:g} s"
        return [Check("agent", State.FAIL, late, f"run python -m {PREFLIGHT} by hand")]
    try:
        return from_preflight(json.loads(done.stdout))
    except ValueError:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
        return [Check("agent", State.FAIL, f"{PREFLIGHT}: {said}", f"run python -m {PREFLIGHT} --json by hand")]


def running(target: Target, *, root: bool = True) -> list[Check]:
    """Supervisor, controller and agents of the cluster that is meant; no lab at all is no fault."""
    if target.lab is not None and not lab_directory(target.lab).exists():
        return [Check("lab", State.OK, f"no lab {target.lab} runs here (weft lab up PATH starts one)")]
    if not root:
        return [Check("cluster", State.WARN, "not asked, its sockets are for root", "run this as root")]
    checks = [_supervisor(target)] if target.lab is not None else []
    from cli.client import Admin

    try:
        with Admin(target) as admin:
            answer = admin.status()
    except WeftError as error:
        return [*checks, Check("controller", State.FAIL, error.message, _log_hint(target))]
    return [*checks, *_cluster(answer)]


def _log_hint(target: Target) -> str:
    return f"weft --lab {target.lab} lab logs controller" if target.lab is not None else "read the controller's log"


def _supervisor(target: Target) -> Check:
    from cli import supervisor

    try:
        answer = table(supervisor.call(target, {"call": "status"}, within_s=supervisor.GLANCE_S))
    except Unreachable as error:
        todo = f"weft --lab {target.lab} lab down removes what is left, then bring the lab up again"
        return Check("lab", State.FAIL, error.message, todo)
    except WeftError as error:
        return Check("lab", State.FAIL, error.message, "see the supervisor's log")
    components = rows(answer, "components")
    return Check("lab", State.OK, f"lab {target.lab}: {len(components)} components, {len(rows(answer, 'pods'))} pods")


def _cluster(answer: Json) -> list[Check]:
    controller = Check(
        "controller",
        State.OK,
        f"version {text(answer, 'controller', 'version', default='?')}, "
        f"revision {text(answer, 'controller', 'revision', default='?')}",
    )
    agents = [_agent(node) for node in rows(answer, "nodes")]
    if statustext.settled(answer):
        return [controller, *agents, Check("settled", State.OK, "every node enforces the newest revision")]
    missing = "; ".join(statustext.missing(answer))
    return [controller, *agents, Check("settled", State.WARN, missing, "weft status --wait 10")]


def _agent(node: Json) -> Check:
    name, state = f"agent {text(node, 'name')}", text(node, "state")
    if state == "connected":
        warnings = texts(node, "warnings")
        return Check(name, State.WARN if warnings else State.OK, "; ".join(warnings) or state)
    said, _, todo = statustext.absence(node).rpartition("; ")
    return Check(name, State.FAIL, said, f"see its log; {todo}")
