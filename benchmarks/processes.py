"""Programs under measurement: started in a host, pinned, waited for, weighed, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.hosts import BenchmarkFailed, Host

PROJECT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {"PYTHONPATH": str(PROJECT)}
"""For programs of this project, wherever they are started."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Program:
    """A process in its own process group, with its output in a file; a context manager that ends the group."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def tree(self) -> list[int]:
        """Its own pid and those of its living descendants."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    parent = int(_stat(int(entry.name))[1])
                    children.setdefault(parent, []).append(int(entry.name))
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += children.get(pid, [])
        return found

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                ended = f"{self.name} ended (exit {self.process.returncode})"
                raise BenchmarkFailed(f"{ended} before {what}: {self.tail()}")
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{self.name}: no {what} within {seconds:.0f} s: {self.tail()}")
            time.sleep(0.005)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:].strip() or "(it printed nothing)"

    def stop(self, *, by: signal.Signals = signal.SIGTERM, seconds: float = 10) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, by)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(by=signal.SIGKILL)


def start(
    host: Host,
    words: Sequence[str],
    log: Path,
    *,
    cpu: int | None = None,
    cgroup: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Program:
    with log.open("wb") as output:
        process = subprocess.Popen(
            host.enter(words, cpu=cpu, cgroup=cgroup),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    return Program(Path(words[0]).name, process, log)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time so far, all threads."""
    total = 0
    for pid in pids:
        fields = _stat(pid)
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def rss_bytes(pids: Iterable[int]) -> int:
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in pids)


def listening(host: Host, port: int) -> bool:
    """Whether a TCP port of the host listens, by its own /proc (no connection is made)."""
    table = host.run("cat", "/proc/self/net/tcp", "/proc/self/net/tcp6")
    return any(
        fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
        for fields in (line.split() for line in table.splitlines())
        if len(fields) > 3 and fields[0].endswith(":")
    )


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name: state, ppid, ... utime is 11, stime 12."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
