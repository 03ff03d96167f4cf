"""A node of the mesh under measurement: the real agent and the real proxy, told by a controller or by a snapshot.

The agent keeps its last good snapshot on disk and works from it while no controller answers. A benchmark can write that
file, so that a node is given any size in a moment and nothing but the node is measured.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.hosts import BenchmarkFailed
from benchmarks.intent import NAMESPACE
from benchmarks.processes import ENVIRONMENT, Program, start
from benchmarks.topology import Node, Pod
from mesh.api.codec import snapshot_to_pb
from mesh.snapshot import NodeSnapshot

BPFFS = Path("/sys/fs/bpf")
ENFORCED_WITHIN_S = 120.0


@dataclass(slots=True)
class MeshNode:
    """A context manager: leaving it stops the programs and uninstalls."""

    node: Node
    name: str
    folder: Path
    snapshot: NodeSnapshot | None = None
    """None: the controller tells."""
    controller: str = "127.0.0.1:1"
    token: str = "none.none.none"
    programs: list[Program] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / f"state-{self.name}"

    @property
    def instance(self) -> str:
        return f"weftbench-{self.name}"

    @property
    def cgroup(self) -> Path:
        """Of the pods' processes: the socket hooks stand there."""
        return cgroup_root() / f"weftbench-{self.name}"

    def __enter__(self) -> MeshNode:
        mount_bpffs()
        self.state.mkdir(mode=0o700, parents=True)
        self.cgroup.mkdir(exist_ok=True)
        self.uninstall()
        if self.snapshot is not None:
            self._write_snapshot(self.snapshot)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for program in reversed(self.programs):
            program.stop()
        self.uninstall()
        remove_cgroup(self.cgroup)

    def _write_snapshot(self, snapshot: NodeSnapshot) -> None:
        """As the agent itself keeps it."""
        path = self.state / "snapshot.pb"
        path.write_bytes(snapshot_to_pb(snapshot).SerializeToString())
        path.chmod(0o600)

    def start_agent(self, *, cpu: int | None = None) -> Program:
        token = self.folder / "token"
        token.write_text(f"{self.token}\n")
        token.chmod(0o600)
        words = [
            sys.executable, "-m", "agent", "--node", self.name, "--controller", self.controller,
            "--join-token-file", str(token), "--state", str(self.state), "--instance", self.instance,
            "--cgroup", str(self.cgroup), "--uplink", self.node.uplink,
        ]  # fmt: skip
        log = self.folder / f"agent-{self.name}.log"
        program = start(self.node.host, words, log, cpu=cpu, environment=ENVIRONMENT)
        self.programs.append(program)
        return program

    def start_proxy(self, *, cpu: int | None = None, metrics: int = 15090) -> Program:
        """One worker, access log off, metrics on."""
        words = [
            sys.executable, "-m", "l7proxy", "--agent-socket", str(self.state / "proxy.sock"), "--workers", "1",
            "--access-log", "", "--metrics", f"127.0.0.1:{metrics}",
        ]  # fmt: skip
        log = self.folder / f"proxy-{self.name}.log"
        program = start(self.node.host, words, log, cpu=cpu, environment=ENVIRONMENT)
        self.programs.append(program)
        return program

    def add_pod(self, name: str, pod: Pod) -> None:
        """Returns when the pod is enforced."""
        self.call(
            "endpoint.add", namespace=NAMESPACE, pod=name, netns=str(pod.host.netns), ifname="eth0",
            host_ifname=pod.host_ifname, wait_s=ENFORCED_WITHIN_S,
        )  # fmt: skip

    def call(self, name: str, **arguments: object) -> Any:
        """One question to the agent's local API."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ENFORCED_WITHIN_S + 10)
            connection.connect(str(self.state / "agent.sock"))
            connection.sendall(json.dumps({"call": name, **arguments}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer: Mapping[str, Any] = json.loads(answers.readline() or b'{"error": "the agent hung up"}')
        if "error" in answer:
            raise BenchmarkFailed(f"agent {self.name}: {name}: {answer['error']}")
        return answer["result"]

    def answers(self) -> bool:
        try:
            self.call("status")
        except (OSError, BenchmarkFailed):
            return False
        return True

    def proxy_is_up(self) -> bool:
        return bool(self.call("status")["proxyWorkers"])

    def uninstall(self) -> None:
        """Everything that the kernel holds of this instance; what the agent keeps on disk stays."""
        words: Sequence[str] = [
            sys.executable, "-m", "agent", "uninstall", "--instance", self.instance, "--cgroup", str(self.cgroup),
        ]  # fmt: skip
        done = subprocess.run(
            self.node.host.enter(words), capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, check=False
        )
        if done.returncode != 0:
            raise BenchmarkFailed(f"uninstall of {self.instance}: {done.stderr.strip() or done.stdout.strip()}")


def cgroup_root() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1])
    raise BenchmarkFailed("cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")


def remove_cgroup(path: Path) -> None:
    """Processes leave a cgroup a moment after they are killed."""
    for _ in range(100):
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise BenchmarkFailed(f"cgroup {path} still holds processes")


def mount_bpffs() -> None:
    mounted = any(line.split()[1:3] == [str(BPFFS), "bpf"] for line in Path("/proc/mounts").read_text().splitlines())
    if not mounted:
        subprocess.run(["mount", "-t", "bpf", "bpf", str(BPFFS)], check=True)
