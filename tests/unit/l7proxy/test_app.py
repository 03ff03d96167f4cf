from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from l7proxy.app import FIRST_BACKOFF_S
from tests.support.waiting import LONGEST_S


@contextmanager
def running(tmp_path: Path, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """The program, and the agent's listening socket."""
    path = tmp_path / "proxy.sock"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        agent.listen()
        agent.settimeout(LONGEST_S)
        command = [sys.executable, "-m", "l7proxy", "--agent-socket", str(path), "--drain-seconds", "1", *more]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL)
        try:
            yield process, agent
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(LONGEST_S)


def hello_from(agent: socket.socket) -> tuple[socket.socket, int]:
    """A worker's link and its process, by the kernel's word."""
    made, _ = agent.accept()
    made.settimeout(LONGEST_S)
    assert made.recv(4096)
    pid = int.from_bytes(made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)
    return made, pid


def test_one_worker_is_the_process_itself_and_ends_on_sigterm(tmp_path: Path) -> None:
    with running(tmp_path) as (process, agent):
        link, pid = hello_from(agent)
        assert pid == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_S) == 0
        link.close()


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2") as (process, agent):
        links = [hello_from(agent)[0] for _ in range(2)]
        process.kill()
        for link in links:
            assert link.recv(1) == b""
            link.close()


def test_workers_are_started_again_and_ended_together(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2") as (process, agent):
        links = [hello_from(agent) for _ in range(2)]
        pids = {pid for _, pid in links}
        assert len(pids) == 2
        assert process.pid not in pids
        begun = time.monotonic()
        os.kill(min(pids), signal.SIGKILL)
        again, pid = hello_from(agent)
        assert pid not in pids
        assert time.monotonic() - begun >= FIRST_BACKOFF_S
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_S) == 0
        for link in (again, *(link for link, _ in links)):
            link.close()
