"""A whole agent at the controller's door: a wrong token is told by both and mended while it runs; a name is kept.

Controller and agent run in one network namespace of their own, without pods.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import cgroups
from tests.support import controlplane, machine
from tests.support.cluster import ROOT
from tests.support.controlplane import ControllerProcess
from tests.support.nodeclient import join
from tests.support.waiting import eventually

PLACE = "test-claim"
UPLINK = "eth0"


@pytest.fixture
def network() -> Iterator[list[str]]:
    """What a command starts with, to run in a namespace that has a loopback and nothing else."""
    if os.geteuid() != 0:
        pytest.fail("this test needs root: a network namespace, a cgroup and bpf(); run `make test` as root")
    subprocess.run(["ip", "netns", "add", PLACE], check=True)
    subprocess.run(["ip", "-n", PLACE, "link", "set", "lo", "up"], check=True)
    uplink = ["ip", "-n", PLACE, "link", "add", UPLINK, "type", "veth", "peer", "name", "far"]
    subprocess.run(uplink, check=True)
    yield ["nsenter", f"--net=/run/netns/{PLACE}"]
    subprocess.run(["ip", "netns", "del", PLACE], check=True)


@contextmanager
def agent(how: list[str], state: Path, port: int, token_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    cgroup = cgroups.make(PLACE)
    place = ["--cgroup", str(cgroup), "--instance", PLACE, "--state", str(state), "--uplink", UPLINK]
    command = [
        *how, sys.executable, "-m", "agent", "--node", "late", "--controller", f"127.0.0.1:{port}",
        "--join-token-file", str(token_file), *place,
    ]  # fmt: skip
    with (state.parent / "agent.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        gone = machine.run(how, "agent", "uninstall", "--instance", PLACE, "--state", str(state))
        cgroup.rmdir()
        assert gone.status == 0, gone.err


def local_status(state: Path) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        link.connect(str(state / "agent.sock"))
        link.sendall(b'{"call": "status"}\n')
        answer = json.loads(link.makefile("rb").readline())
    return dict(answer["result"])


def row(control: ControllerProcess) -> dict[str, Any]:
    return next((dict(found) for found in control.status()["nodes"] if found["name"] == "late"), {})


def test_an_agent_is_told_why_and_a_joined_one_keeps_its_name(network: list[str], tmp_path: Path) -> None:
    token_file, state, log = tmp_path / "token", tmp_path / "state-of-late", tmp_path / "agent.log"
    with controlplane.controller(tmp_path, network) as control:
        name, _, ca_hash = control.token().split(".")
        token_file.write_text(f"{name}.{'0' * 32}.{ca_hash}\n")
        with agent(network, state, control.port, token_file) as process:
            reason = f"join token {name} is not known or its secret is wrong"
            eventually(log.read_text, lambda text: f"the controller refused node late: {reason}" in text)
            told = eventually(lambda: local_status(state)["controller"], lambda told: reason in told["error"])
            assert told["connected"] is False
            assert f"join of node 'late' refused: {reason}" in control.log
            assert row(control) == {}

            # It goes on trying: a right token is all that it needs.
            token_file.write_text(control.token("--node", "late") + "\n")
            eventually(lambda: row(control), lambda found: found.get("state") == "connected")
            eventually(lambda: local_status(state)["controller"], lambda told: told == {"connected": True, "error": ""})

            before = control.metric('weft_controller_joins_total{outcome="refused"}')
            second = tmp_path / "state-of-another"
            second.mkdir()
            claimed = join("late", control.port, control.token(), second, tuple(network))
            reason = "node late has joined before with another key; `weft delete node late` frees the name"
            assert (claimed.status, claimed.err) == (1, f"the controller refused node late: {reason}\n")
            assert f"join of node 'late' refused: {reason}" in control.log
            assert control.metric('weft_controller_joins_total{outcome="refused"}') == before + 1

            # The first one goes on: the same process, on the same stream, with the next revision.
            assert control.log.count("node late connected") == 1
            namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: news}\n"
            assert control.weft("apply", "-f", "-", stdin=namespace).status == 0
            assert control.weft("status", "--wait", "60").status == 0
            assert (row(control)["state"], row(control)["lag"]) == ("connected", 0)
            assert control.log.count("node late connected") == 1
            assert process.poll() is None
