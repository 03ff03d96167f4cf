"""A real controller for the benchmarks that weigh a whole node: started in a host, given objects, asked for a token."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.hosts import BenchmarkFailed, Host
from benchmarks.processes import ENVIRONMENT, Program, start
from lab.controlplane import ControllerAway, ControlPlane, Refused

PORT = 15010


def controller(stack: ExitStack, host: Host, address: str, folder: Path, *, cpu: int) -> Program:
    """Ready when it returns."""
    words = [
        sys.executable, "-m", "controller", "--state", str(folder / "controller"), "--listen", f"{address}:{PORT}",
        "--admin-socket", str(admin_socket(folder)),
    ]  # fmt: skip
    (folder / "controller").mkdir(mode=0o700)
    program = stack.enter_context(start(host, words, folder / "controller.log", cpu=cpu, environment=ENVIRONMENT))
    program.wait_until(lambda: admin_socket(folder).exists() and asyncio.run(_ready(folder)), 60, "admin socket")
    return program


def prepare(folder: Path, documents: Sequence[dict[str, Any]], node: str) -> str:
    """Give the controller its objects; a join token for the node."""

    async def work() -> str:
        plane = ControlPlane(admin_socket(folder))
        try:
            await plane.write(documents)
            return await plane.create_token(node)
        finally:
            await plane.close()

    try:
        return asyncio.run(work())
    except (ControllerAway, Refused) as error:
        raise BenchmarkFailed(f"the controller: {error}") from error


def admin_socket(folder: Path) -> Path:
    return folder / "controller" / "admin.sock"


async def _ready(folder: Path) -> bool:
    plane = ControlPlane(admin_socket(folder))
    try:
        return await plane.ready()
    finally:
        await plane.close()
