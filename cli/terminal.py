"""What standard output is: a terminal of some width that shows colours, or a pipe. The only reader of that."""

from __future__ import annotations

import os
import re
import shutil
import sys

import click

from cli.grid import hanging


def colour() -> bool:
    """On a terminal, unless NO_COLOR is set or the terminal is dumb."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Columns of the terminal; None in a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


# What moves the cursor, renames the window or writes into the terminal's input: all control characters but line feed
# and tab, unless they begin one of our own colours.
_UNSAFE = re.compile(r"(?!\x1b\[[0-9;]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """Logs, labels and nodes' words can hold anything: on a terminal they must stay text."""
    return _UNSAFE.sub("?", text)


def say(text: str) -> None:
    """One or more lines on standard output, flushed, so that a follower's reader sees each at once."""
    click.echo(harmless(text) if sys.stdout.isatty() else text)


def hint(text: str) -> None:
    """A line for people, beside the answer: standard error."""
    click.echo(told(text), err=True)


def told(text: str) -> str:
    """Text for standard error. On a terminal long lines go on below, indented, and no word is broken."""
    if not sys.stderr.isatty():
        return text
    columns = shutil.get_terminal_size().columns
    shown = []
    for line in harmless(text).split("\n"):
        shown += hanging(line, columns, len(line) - len(line.lstrip(" ")) + 2)
    return "\n".join(shown)
