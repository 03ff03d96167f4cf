"""A lab cluster for journeys, driven through the public `weft` command alone.

A journey needs root, cgroup v2 and a bpf() system call: where they are missing `weft lab up` fails and says which, and
so does the test. Nothing here is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60.0
"""For whatever a cluster does by itself. It does it in a second; a busy machine may take many."""
PROBES = "tests.support.probes"
ATTACKS = "tests.support.attacks"


class WeftFailed(AssertionError):
    """A weft command ended with another status than the test expected."""


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def last(self) -> Any:
        """Of a program that says first that it has begun."""
        return json.loads(self.out.splitlines()[-1])

    def lines(self) -> list[Any]:
        """Of `-o jsonl`."""
        return [json.loads(line) for line in self.out.splitlines() if line]


@dataclass(frozen=True, slots=True)
class Probe:
    """A verb of probes.py or attacks.py that runs in a pod and has begun."""

    process: subprocess.Popen[str]
    first: Any
    """What it said when it had begun."""

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def ask(self, word: str) -> Any:
        """A line to one that answers lines."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self) -> Any:
        """Tell it that it is enough; what it found."""
        return self._result("enough\n")

    def wait(self) -> Any:
        """What it found when it was through."""
        return self._result(None)

    def _result(self, word: str | None) -> Any:
        out, err = self.process.communicate(word, timeout=200)
        assert self.process.returncode == 0, err
        return json.loads(out.splitlines()[-1])


@dataclass(frozen=True, slots=True)
class Cluster:
    """One lab by name."""

    name: str

    def weft(self, *arguments: str, expect: int | None = 0, stdin: str = "", timeout: float = 200) -> Outcome:
        """Run `weft --lab NAME ARGUMENTS`; `expect` None takes any status. It never reads this process's own input."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", "--lab", self.name, *arguments],
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if expect is not None and done.returncode != expect:
            raise WeftFailed(
                f"weft {' '.join(arguments)}: status {done.returncode}, expected {expect}\n{done.stdout}\n{done.stderr}"
            )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str) -> Any:
        return self.weft(*arguments, "-o", "json").json()

    def apply(self, manifest: str) -> None:
        """Apply a manifest and return when every node enforces it."""
        self.weft("apply", "-f", "-", stdin=manifest)
        self.settle()

    def settle(self) -> None:
        self.weft("status", "--wait", str(WITHIN_S))

    def pids(self, component: str) -> dict[str, int | None]:
        """By node; None for one that is not there at the moment."""
        rows = self.json("lab", "status")["components"]
        return {str(row["node"]): row["pid"] for row in rows if row["component"] == component}

    def kill(self, component: str) -> None:
        """On all nodes. Returns when others run in their place and everything is in force."""
        before = set(self.pids(component).values())
        self.weft("lab", "kill", component)
        eventually(lambda: self.pids(component), lambda now: not {None, *before} & {*now.values()}, seconds=WITHIN_S)
        self.whole()

    def whole(self) -> None:
        """Returns when every part of the mesh works: agents are connected and enforce, each has a proxy."""
        self.settle()
        eventually(
            lambda: [(row["state"], row["proxyWorkers"]) for row in self.json("status")["nodes"]],
            lambda rows: all(state == "connected" and workers for state, workers in rows),
            seconds=WITHIN_S,
        )

    def delete(self, kind: str, key: str) -> None:
        namespace, _, name = key.rpartition("/")
        self.weft("delete", kind, name, *(["-n", namespace] if namespace else []))
        self.settle()

    def exec(self, pod: str, *command: str, expect: int | None = 0, timeout: float = 200) -> Outcome:
        return self.weft("lab", "exec", pod, "--", *command, expect=expect, timeout=timeout)

    def start(self, pod: str, *command: str) -> subprocess.Popen[str]:
        """A long-running command in a pod; its lines come on stdout."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli", "--lab", self.name, "lab", "exec", pod, "--", *command],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def probe(self, pod: str, *arguments: str) -> Any:
        """Run one verb of probes.py in a pod and read the JSON that it prints."""
        return self.exec(pod, sys.executable, "-m", PROBES, *arguments).last()

    def start_probe(self, pod: str, *arguments: str, module: str = PROBES) -> Probe:
        """Returns when it has begun."""
        process = self.start(pod, sys.executable, "-m", module, *arguments)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, process.communicate()[1]
        return Probe(process, json.loads(first))

    def address(self, pod: str, family: int = 4) -> str:
        """The pod's address of a family, from `lab status`."""
        namespace, name = pod.split("/")
        for row in self.json("lab", "status")["pods"]:
            if (row["namespace"], row["name"]) == (namespace, name):
                return next(str(ip) for ip in row["ips"] if (":" in ip) == (family == 6))
        raise AssertionError(f"no pod {pod} in lab {self.name}")

    def flows(self, *arguments: str) -> list[dict[str, Any]]:
        return self.weft("observe", "-o", "jsonl", *arguments).lines()

    def wait_for_flow(
        self, match: Callable[[dict[str, Any]], bool], *arguments: str, seconds: float = WITHIN_S
    ) -> dict[str, Any]:
        """The first record that matches; fails with what was seen instead."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.flows(*arguments)
            for flow in seen:
                if match(flow):
                    return flow
            if time.monotonic() > deadline:
                raise AssertionError(f"no such flow among {json.dumps(seen[-10:], indent=1)}")
            time.sleep(0.2)

    def up(self, *paths: str | Path) -> None:
        self.weft("lab", "up", "--name", self.name, *map(str, paths), timeout=240)

    def down(self) -> None:
        self.weft("lab", "down")


@contextmanager
def running(name: str, *paths: str | Path) -> Iterator[Cluster]:
    """A lab that is up inside the block and gone after it, whatever happened."""
    cluster = Cluster(name)
    cluster.weft("lab", "down", expect=None)
    try:
        cluster.up(*paths)
        yield cluster
    finally:
        if not os.environ.get("WEFT_TEST_KEEP"):
            cluster.down()
