"""A controller in a process of its own on this machine's loopback, with what a node or an operator sees of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import machine
from tests.support.cluster import ROOT, Outcome
from tests.support.ports import free_port
from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class ControllerProcess:
    process: subprocess.Popen[bytes]
    folder: Path
    """Open for everybody to enter: what guards the sockets in it is their own mode."""
    port: int
    """Sync; joins on the next one, metrics on the one after that."""

    @property
    def admin_socket(self) -> Path:
        return self.folder / "admin.sock"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def weft(self, *arguments: str, how: Sequence[str] = (), stdin: str | None = None) -> Outcome:
        return machine.run(how, "cli", "--controller", f"unix:{self.admin_socket}", *arguments, stdin=stdin)

    def token(self, *arguments: str) -> str:
        """NAME.SECRET.CAHASH."""
        return self.weft("token", "create", *arguments).out.strip()

    def status(self) -> Any:
        return self.weft("status", "-o", "json").json()

    def metric(self, series: str) -> float:
        """One series as the page names it; 0 where it is not there."""
        inside = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"]
        page = subprocess.run(
            [*inside, "curl", "-sf", f"http://127.0.0.1:{self.port + 2}/metrics"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return next((float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(series)), 0.0)


@contextmanager
def controller(folder: Path, how: Sequence[str] = ()) -> Iterator[ControllerProcess]:
    """Started as on `machine`, ready inside the block, gone after it."""
    port = free_port(3)
    command = [
        *how, sys.executable, "-m", "controller", "--state", str(folder / "state"),
        "--listen", f"127.0.0.1:{port}", "--admin-socket", str(folder / "admin.sock"),
        "--metrics", f"127.0.0.1:{port + 2}",
    ]  # fmt: skip
    (folder / "state").mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    running = ControllerProcess(process, folder, port)
    try:
        eventually(lambda: running.log, lambda log: process.poll() is None and "serving agents" in log)
        eventually(running.admin_socket.exists, bool)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
