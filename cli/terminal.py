"""What standard output is: a terminal of some width that shows colours, or a pipe. The only reader of that."""

from __future__ import annotations

import os
import shutil
import sys

import click


def colour() -> bool:
    """On a terminal, unless NO_COLOR is set or the terminal is dumb."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Columns of the terminal; None in a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str) -> None:
    """One or more lines on standard output, flushed, so that a follower's reader sees each at once."""
    click.echo(text)


def hint(text: str) -> None:
    """A line for people, beside the answer: standard error."""
    click.echo(text, err=True)
