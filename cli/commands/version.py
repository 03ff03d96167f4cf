"""`weft version`: of this command, and of the controller where one answers."""

from __future__ import annotations

import platform

import click

from cli import document, terminal
from cli.errors import WeftError
from cli.formats import Format, one
from cli.listing import output_option
from cli.target import Target
from cli.version import VERSION
from cli.words import examples


@click.command(epilog=examples("weft version", "weft version --client -o json"))
@click.option("--client", is_flag=True, help="Of this command only; ask nobody.")
@output_option
@click.pass_obj
def command(target: Target, *, client: bool, form: Format) -> None:
    """The versions of this command and of the controller."""
    answer = {"client": VERSION, "python": platform.python_version(), "kernel": platform.release()}
    if not client:
        controller = _controller_version(target)
        if controller:
            answer["controller"] = controller
    if form.for_people or form is Format.NAME:
        for part, version in answer.items():
            terminal.say(f"{part:<10}  {version}")
        return
    terminal.say(one(answer, form))


def _controller_version(target: Target) -> str:
    from cli.client import Admin

    try:
        with Admin(target) as admin:
            return document.text(admin.status(), "controller", "version")
    except WeftError:
        return ""  # no cluster is no error here
