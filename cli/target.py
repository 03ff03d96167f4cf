"""Which cluster a command speaks to: a lab by name, or a controller by address. Pure; `cli.__main__` reads the flags.

A flag beats an environment variable, and of the variables WEFT_CONTROLLER beats WEFT_LAB. Without any of them the lab
is the one named `default`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

LABS = Path("/run/weft/labs")
DEFAULT_LAB = "default"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask. `lab` is None where the controller was given by its address."""

    lab: str | None
    admin_socket: Path

    @property
    def whose(self) -> str:
        """Behind `the controller`: which lab's, where it is a lab's."""
        return f" of lab {self.lab}" if self.lab is not None else ""

    @property
    def supervisor_socket(self) -> Path:
        return lab_directory(self.lab_name) / "supervisor.sock"

    @property
    def lab_name(self) -> str:
        """The lab's name; a usage error where the target is no lab."""
        if self.lab is None:
            raise click.UsageError(
                "this command works on a lab, but a controller's address was given; use --lab NAME instead"
            )
        return self.lab


def lab_directory(name: str) -> Path:
    return LABS / name


def of_lab(name: str) -> Target:
    """The lab of that name, whether it runs or not."""
    if not _NAME.fullmatch(name):
        raise click.UsageError(
            f"{name!r} is no name for a lab: use at most 32 lower-case letters, digits and dashes, not a dash at an end"
        )
    return Target(lab=name, admin_socket=lab_directory(name) / "controller" / "admin.sock")


def of_address(address: str) -> Target:
    """A controller's admin socket, `unix:PATH`."""
    scheme, colon, path = address.partition(":")
    if scheme != "unix" or not colon or not path.startswith("/"):
        raise click.UsageError(f"--controller {address!r}: give the admin socket as unix:/absolute/path")
    return Target(lab=None, admin_socket=Path("/" + path.lstrip("/")))


def choose(*, lab: str | None, controller: str | None, environment: Mapping[str, str]) -> Target:
    """Flags first, then the environment, then the lab `default`."""
    if lab is not None and controller is not None:
        raise click.UsageError("--lab and --controller exclude each other: each names a whole cluster")
    if controller is not None:
        return of_address(controller)
    if lab is not None:
        return of_lab(lab)
    if from_environment := environment.get("WEFT_CONTROLLER"):
        return of_address(from_environment)
    return of_lab(environment.get("WEFT_LAB") or DEFAULT_LAB)
