"""What is wrong with the objects that someone gave us: file, object, field, reason, for each fault that was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault, or one warning: it says where it is and why it is one."""

    file: str
    object: str
    """`Kind namespace/name`, as far as it could be read; empty where the file itself is at fault."""
    field: str
    """Path such as `spec.ingress[0].ports[1].port`; empty where the object as a whole is meant."""
    reason: str
    line: int = 0
    """In the file, from 1; 0 where it is not known."""

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.file, self.object, self.field, self.reason) if part)
        return f"{text} (line {self.line})" if self.line else text


class ObjectsRefused(Exception):
    """Input that is not taken, with every problem that was found in it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
