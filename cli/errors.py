"""What can go wrong in the command, as a small tree; each leaf knows its exit status and how it is shown.

0 done, 1 the asked-for condition does not hold, 2 usage (click's own `UsageError`), 3 a component cannot be reached or
cannot do its part (a full disk), 4 the input was refused. Scripts rely on these numbers. Messages go to standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import click

from cli.terminal import told


class WeftError(click.ClickException):
    """An end of the command that is not success; one sentence for an operator."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(told(f"weft: {self.format_message()}"), file=file, err=True)


class DoesNotHold(WeftError):
    """The question was answered, and the answer is not the one that was asked for."""

    exit_code = 1


class NotThere(DoesNotHold):
    """An object that was named does not exist. As with kubectl this is 1, whatever was to be done with it."""


class Unreachable(WeftError):
    """A component does not answer, or cannot do its part now. The text names it, its address and what to do."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason for a refusal, as the controller names it."""

    file: str = ""
    object: str = ""
    field: str = ""
    reason: str = ""
    line: int = 0
    """In the file, from 1; 0 where it is not known."""

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.file, self.object, self.field, self.reason) if part)
        return f"{text} (line {self.line})" if self.line else text


class Refused(WeftError):
    """The input is not acceptable; nothing changed. One line for each problem, beginning with its file and object."""

    exit_code = 4

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems) or "refused without a reason")
        self.problems = tuple(problems)

    def show(self, file: IO[Any] | None = None) -> None:
        for problem in self.problems or (Problem(reason=self.message),):
            speaker = "" if problem.file or problem.object else "weft: "
            click.echo(told(speaker + str(problem).replace("\n", " ")), file=file, err=True)
