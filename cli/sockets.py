"""Whether somebody listens on a unix socket, and if not, why: the sentence that every command shows."""

from __future__ import annotations

import socket
from pathlib import Path

from cli import target as targets
from cli.errors import Unreachable
from cli.target import DEFAULT_LAB, Target

CONNECT_TIMEOUT_S = 3.0


def connect(path: Path, *, component: str, target: Target) -> socket.socket:
    """A connected stream socket. Raises Unreachable with the component, the path, the reason and what to do."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(CONNECT_TIMEOUT_S)
    try:
        link.connect(str(path))
    except OSError as error:
        link.close()
        raise Unreachable(explain(error, path, component=component, target=target)) from error
    return link


def labs() -> list[str]:
    """Names of the labs of this machine, those that have crashed included."""
    return sorted(path.name for path in targets.LABS.iterdir()) if targets.LABS.is_dir() else []


def explain(error: OSError, path: Path, *, component: str, target: Target) -> str:
    """What a failed connect means for a person."""
    where = f"cannot reach the {component}{target.whose} at {path}"
    if isinstance(error, PermissionError):
        return f"{where}: permission denied; the socket is for root, run this as root"
    if isinstance(error, FileNotFoundError):
        if target.lab is not None:
            name = f"--name {target.lab} " * (target.lab != DEFAULT_LAB)
            others = ", ".join(lab for lab in labs() if lab != target.lab)
            return (
                f"{where}: no such socket; the lab is not running. Start it with: weft lab up {name}PATH..., "
                f"or name another one with --lab{f' (there is {others})' * bool(others)}"
            )
        return f"{where}: no such socket; is the controller running with --admin-socket {path}?"
    if isinstance(error, ConnectionRefusedError):
        again = "start it again"
        if target.lab is not None:
            again = f"weft --lab {target.lab} lab status shows what runs"
            if component == "supervisor":  # that is who would show it
                again = f"it has died; remove what it has left with: weft lab down --name {target.lab}"
        return f"{where}: nobody listens any more; {again}"
    if isinstance(error, TimeoutError):
        return f"{where}: no answer within {CONNECT_TIMEOUT_S:g} s; it is overloaded or stuck, see its log"
    return f"{where}: {error.strerror or error}"
