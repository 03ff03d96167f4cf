"""Processes of the lab: started in their place, watched by pidfd, ended with their group.

A `Process` is one run of one program; who keeps it running is `lab.components` for the mesh's programs and
`lab.workload` for pods. Standard output and error go to a log file. Nothing here uses fork in Python code: the
supervisor has gRPC's threads.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SOURCE_ROOT = Path(__file__).resolve().parent.parent
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "BCC_KERNEL_SOURCE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to run, and where."""

    argv: tuple[str, ...]
    log: Path
    cgroup: Path
    netns: str = ""
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = ""
    hostname: str = ""
    binds: tuple[tuple[str, str], ...] = ()

    def place(self) -> dict[str, object]:
        """What `lab.enter` reads."""
        return {
            "argv": self.argv,
            "env": dict(self.env),
            "cgroup": str(self.cgroup),
            "netns": self.netns,
            "cwd": self.cwd,
            "hostname": self.hostname,
            "binds": self.binds,
        }


def plain_environment(more: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The few variables that a program gets from the supervisor's own, and `more`."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return tuple({**kept, **more}.items())


def python_environment(more: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """For programs of this project: they find its packages wherever they are started."""
    return plain_environment({"PYTHONPATH": str(SOURCE_ROOT), "PYTHONUNBUFFERED": "1", **(more or {})})


class Process:
    """One running program."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.started = time.monotonic()
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with launch.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-m", "lab.enter", json.dumps(launch.place())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={"PYTHONPATH": str(SOURCE_ROOT), "PATH": os.environ.get("PATH", os.defpath)},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """As the shell shows it: 128 + N for a signal. None while it runs."""
        code = self._process.returncode
        return code if code is None or code >= 0 else 128 - code

    async def wait(self) -> int:
        """Until it has ended."""
        if self._process.returncode is None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            pidfd = os.pidfd_open(self.pid)
            loop.add_reader(pidfd, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(pidfd)
                os.close(pidfd)
            self._process.wait()
        return self.exit_code or 0

    def signal(self, number: signal.Signals) -> None:
        """To the program itself."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill_group(self) -> None:
        """SIGKILL to it and to its workers: what a crash of the whole program looks like."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL to its group once the grace is over."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self.wait()
        except TimeoutError:
            self.kill_group()
            await self.wait()

    def children(self) -> tuple[int, ...]:
        """Its direct children: a program's workers."""
        everyone = (entry for entry in os.listdir("/proc") if entry.isdigit())
        return tuple(sorted(int(entry) for entry in everyone if _parent(entry) == self.pid))


def _parent(pid: str) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def last_lines(path: Path, count: int = 8) -> Sequence[str]:
    """The end of a log, for a message about what failed."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 8192))
            return log.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return ()
