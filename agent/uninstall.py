"""Removes what one agent put on this machine: hooks, pins, rules, routes, its files. Says what it removed."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from agent.errors import AgentError

OWN_FILES = (
    "agent.sock",
    "agent.sock.new",
    "proxy.sock",
    "proxy.floor",
    "node.key",
    "node.key.new",
    "node.crt",
    "node.crt.new",
    "ca.crt",
    "ca.crt.new",
    "node.json",
    "node.json.new",
    "endpoints.json",
    "endpoints.json.new",
    "snapshot.pb",
    "snapshot.pb.new",
    "snapshot.pb.outrun",
)


def agent_answers(state: Path) -> bool:
    """Whether an agent runs on this state directory."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(state / "agent.sock"))
        except OSError:
            return False
    return True


def uninstall(
    *, state: Path | None, pins: Path, remove_datapath: Callable[[], None], say: Callable[[str], None] | None = None
) -> None:
    """Datapath first: while it stands, it enforces. Refused while an agent runs, which would put it all back."""
    tell = say or (lambda text: print(text, file=sys.stdout))
    if state is not None and agent_answers(state):
        raise AgentError(f"an agent runs on {state}: stop it first, or it puts everything back")
    had_pins = pins.exists()
    remove_datapath()
    tell(f"removed hooks, rules and pins of {pins}" if had_pins else f"no pins at {pins}; hooks and rules looked after")
    if state is None or not state.exists():
        return
    for name in OWN_FILES:
        path = state / name
        if path.exists() or path.is_symlink():
            path.unlink()
            tell(f"removed {path}")
    # The directory may hold files of others (a join token, the lab's).
    with contextlib.suppress(OSError):
        state.rmdir()
        tell(f"removed {state}")
