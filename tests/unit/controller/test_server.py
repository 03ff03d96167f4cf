"""The controller as a process: TLS versions, ports, the socket, what it says when it cannot start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from mesh.api import mesh_pb2 as pb
from mesh.api import mesh_pb2_grpc
from tests.support.ports import free_port
from tests.support.waiting import LONGEST_S
from tests.unit.controller.running import running

ROOT = Path(__file__).resolve().parents[3]


def command(folder: Path, port: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "controller",
        "--state",
        str(folder / "state"),
        "--listen",
        f"127.0.0.1:{port}",
        "--admin-socket",
        str(folder / "run" / "admin.sock"),
    ]


@contextmanager
def process(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A controller that answers on its socket."""
    started = subprocess.Popen(command(folder, port), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + LONGEST_S
        while True:
            with grpc.insecure_channel(f"unix:{folder}/run/admin.sock") as channel:
                try:
                    mesh_pb2_grpc.AdminStub(channel).Status(pb.StatusRequest(), timeout=1)
                    break
                except grpc.RpcError:
                    assert started.poll() is None, started.stderr.read() if started.stderr else ""
                    assert time.monotonic() < deadline, "the controller does not answer"
                    time.sleep(0.05)
        yield started
    finally:
        started.kill()
        started.wait()
        if started.stderr:
            started.stderr.close()


def run_to_its_end(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, port), cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S)


def handshake(port: int, version: ssl.TLSVersion) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), LONGEST_S) as plain, context.wrap_socket(plain) as secured:
        return secured.version()


def test_the_process_speaks_tls_1_3_only_survives_kill_and_ends_on_a_signal(tmp_path: Path) -> None:
    port = free_port(2)
    with process(tmp_path, port) as first:
        for listening in (port, port + 1):
            assert handshake(listening, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
            with pytest.raises((ssl.SSLError, OSError)):
                handshake(listening, ssl.TLSVersion.TLSv1_2)
        admin_socket = tmp_path / "run" / "admin.sock"
        assert oct(admin_socket.stat().st_mode & 0o777) == "0o600"
        assert oct((tmp_path / "run").stat().st_mode & 0o777) == "0o700"
        second = run_to_its_end(tmp_path, port)
        assert (second.returncode, "another controller holds it" in second.stderr) == (1, True)
        first.kill()
        first.wait()
    # The socket of the dead one is still there; the next takes its place.
    assert admin_socket.is_socket()
    with process(tmp_path, port) as third:
        third.send_signal(signal.SIGTERM)
        _, log = third.communicate(timeout=LONGEST_S)
        assert third.returncode == 0, log
        assert not admin_socket.exists()
        assert "Traceback" not in log


def test_ports_are_not_shared(tmp_path: Path) -> None:
    port = free_port(2)
    with process(tmp_path, port):
        other = run_to_its_end(tmp_path / "other", port)
    assert other.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in other.stderr


def test_a_file_in_the_sockets_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "admin.sock").write_text("precious")

    async def main() -> None:
        async with running(tmp_path):
            pass

    with pytest.raises(ExceptionGroup) as refused:
        asyncio.run(main())
    assert "there is a file of that name; remove it" in str(json.dumps([str(e) for e in leaves(refused.value)]))
    assert (tmp_path / "admin.sock").read_text() == "precious"


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for item in group.exceptions:
        found += leaves(item) if isinstance(item, BaseExceptionGroup) else [item]
    return found


def test_the_umask_is_left_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o022)
    os.umask(before)

    async def main() -> None:
        async with running(tmp_path):
            after = os.umask(before)
            assert after == before

    asyncio.run(main())
