"""Faults of a running cluster: a full map; controller, agent or proxy away. Never open by it, and always told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, Outcome, running
from tests.support.waiting import eventually

MANIFEST = Path(__file__).with_name("manifests") / "faults.yaml"
LONGEST = "300"
CURL = ["curl", "-s", "-o", "/dev/null", "-m", "60", "-w", "%{http_code}"]
REFUSED, CUT = 7, (52, 56)
"""Exit statuses of curl: the connection was refused; it stood, and was closed or reset. (28: its time was up.)"""
PORTS = "".join(f"    - {{port: {20_000 + 2 * number}}}\n" for number in range(250))
EXCEPTIONS = ", ".join(f"203.0.{number}.0/24" for number in range(60))
TOO_MUCH = {
    "policy": f"  - ports:\n{PORTS}",
    "ipcache": f"  - from:\n    - ipBlock: {{cidr: 203.0.0.0/16, except: [{EXCEPTIONS}]}}\n",
}
"""Ingress rules that need more entries of a map than manifests/faults.yaml gives it."""


@pytest.fixture(scope="module")
def small() -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.fail("the lab needs root: network namespaces, cgroups and bpf(); run `make test` as root")
    with running("test-faults", MANIFEST) as cluster:
        yield cluster


@contextmanager
def kept_away(cluster: Cluster, component: str) -> Iterator[None]:
    """Killed, and not started again as long as the block lasts: the supervisor that would do it is stopped."""
    rows = [row for row in cluster.json("lab", "status")["components"] if row["component"] == component]
    supervisor = int((Path("/run/weft/labs") / cluster.name / "supervisor.pid").read_text())
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for row in rows:
            os.killpg(row["pid"], signal.SIGKILL)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


def reach(cluster: Cluster, pod: str, *targets: tuple[str, int]) -> list[str]:
    rows = [["tcp", cluster_address, port] for cluster_address, port in targets]
    return [answer[3] for answer in cluster.probe(pod, "reach", json.dumps(rows))]


def http(cluster: Cluster, address: str, path: str) -> tuple[int, int]:
    """What curl ended with, and the status (0: no answer)."""
    done = cluster.exec("f/client", *CURL, f"http://{address}:8080{path}", expect=None)
    return done.status, int(done.out)


def node(cluster: Cluster) -> dict[str, Any]:
    (row,) = cluster.json("status")["nodes"]
    return dict(row)


def refusal(row: dict[str, Any]) -> str:
    """How a node's warning of the newest revision begins."""
    return f"refused revision {row['revision']}"


def metrics(cluster: Cluster, component: str) -> str:
    row = next(row for row in cluster.json("lab", "status")["components"] if row["component"] == component)
    inside = ["nsenter", f"--net=/proc/{row['pid']}/ns/net"]
    page = [*inside, "curl", "-sf", f"http://{row['metrics']}/metrics"]
    return subprocess.run(page, capture_output=True, text=True, check=True).stdout


def series(page: str, name: str) -> float:
    return next((float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name)), 0.0)


def clear(outcome: Outcome, status: int, *words: str) -> None:
    """One message that holds the words, the exit status, and no traceback."""
    said = outcome.err.strip()
    assert (outcome.status, "Traceback" in said) == (status, False), said
    assert len(said.splitlines()) == 1, said
    assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize("full", sorted(TOO_MUCH))
def test_a_revision_that_does_not_fit_is_refused_whole(small: Cluster, full: str) -> None:
    server = small.address("f/server")
    small.settle()
    before = node(small)["enforcedRevision"]
    small.weft(
        "apply",
        "-f",
        "-",
        stdin=f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: too-much, namespace: f}}
spec:
  podSelector: {{matchLabels: {{app: client}}}}
  ingress:
{TOO_MUCH[full]}""",
    )
    try:
        seen = eventually(lambda: node(small), lambda row: any(refusal(row) in text for text in row["warnings"]))
        (warning,) = (text for text in seen["warnings"] if refusal(seen) in text)
        assert f"{refusal(seen)}: map {full} holds" in warning
        assert f"--map-entries {full}=N" in warning
        assert (seen["enforcedRevision"], seen["lag"] > 0) == (before, True)
        clear(small.weft("status", "--wait", "0.3", expect=1), 1, "node-a", f"the newest is {seen['revision']}")
        assert warning in small.weft("status").out
        assert series(metrics(small, "controller"), 'weft_controller_answers_total{answer="nack"}') >= 1
        # Neither half of it is in force: the client is as open as it was, the server as closed.
        assert reach(small, "f/client", (server, 9090), (server, 9999)) == ["ok", "ECONNREFUSED"]
        assert http(small, server, "/secret") == (0, 403)
    finally:
        small.delete("networkpolicy", "f/too-much")
    assert [text for text in node(small)["warnings"] if "refused" in text] == []


def test_controller_away_is_told_and_changes_nothing(small: Cluster) -> None:
    server = small.address("f/server")
    held = small.start_probe("f/client", "hold", server, "9090", "send", LONGEST)
    revision = node(small)["enforcedRevision"]
    with kept_away(small, "controller"):
        for command in (["status"], ["get", "pods"], ["observe"], ["apply", "-f", str(MANIFEST)]):
            told = ("cannot reach the controller of lab test-faults", "lab status shows what runs")
            clear(small.weft(*command, expect=None), 3, *told)
        assert reach(small, "f/client", (server, 9090), (server, 9999)) == ["ok", "ECONNREFUSED"]
        assert [http(small, server, path) for path in ("/public", "/secret")] == [(0, 200), (0, 403)]
    assert held.stop() == {"ended": "alive"}
    small.whole()
    # What it enforces comes with its ack, how many endpoints with its next report.
    back = eventually(lambda: node(small), lambda row: row["endpointsEnforced"] == 4)
    assert (back["state"], back["enforcedRevision"]) == ("connected", revision)
    eventually(lambda: node(small)["ageSeconds"], lambda age: 0 <= age < 10)


def test_agent_away_is_shown_with_its_age(small: Cluster) -> None:
    server = small.address("f/server")
    with kept_away(small, "agent"):
        first = eventually(lambda: node(small), lambda row: row["state"] == "away")["ageSeconds"]
        later = eventually(lambda: node(small), lambda row: row["ageSeconds"] > first + 0.5)
        assert later["enforcedRevision"] == later["revision"]
        told = small.weft("status").out
        assert "node node-a: its agent is away, last heard" in told
        assert "it enforces what it has" in told
        assert reach(small, "f/client", (server, 9090), (server, 9999)) == ["ok", "ECONNREFUSED"]
        why = small.weft("endpoint", "list", expect=None)
        clear(why, 3, "has no connection to any node", "weft status")
    small.whole()
    assert node(small)["state"] == "connected"


def test_a_proxy_away_for_longer_than_its_grace_resets_what_needs_it(small: Cluster) -> None:
    server = small.address("f/server")
    held = small.start_probe("f/client", "hold", server, "9090", "send", LONGEST)
    with kept_away(small, "proxy"):
        # Whoever came within the grace waits for as long as it lasts (one second here), then is reset, never let past.
        ended, status = http(small, server, "/public")
        assert (ended in (*CUT, REFUSED), status) == (True, 0), ended
        eventually(lambda: node(small)["warnings"], lambda told: any("no proxy" in text for text in told))
        assert http(small, server, "/public") == (REFUSED, 0)
        assert reach(small, "f/client", (server, 9090), (server, 8080)) == ["ok", "ECONNREFUSED"]
        flow = small.wait_for_flow(lambda flow: flow["dropReason"] == "proxy-down", "--verdict", "deny")
        assert (flow["from"]["pod"], flow["to"]["pod"], flow["to"]["port"]) == ("client", "server", 8080)
        assert series(metrics_of_agent(small), 'weft_agent_packets_total{direction="egress",reason="proxy-down"}') > 0
    eventually(lambda: http(small, server, "/public"), lambda answer: answer == (0, 200))
    assert http(small, server, "/secret") == (0, 403)
    assert held.stop() == {"ended": "alive"}
    eventually(lambda: node(small)["warnings"], lambda told: not any("no proxy" in text for text in told))


def metrics_of_agent(cluster: Cluster) -> str:
    """Asked without the supervisor: by the one place where a lab's agents serve them."""
    return cluster.exec("node:node-a", "curl", "-sf", "http://127.0.0.1:15012/metrics").out


def test_a_full_conntrack_map_denies_what_is_new_and_keeps_what_lives(small: Cluster) -> None:
    server = small.address("f/server")
    held = small.start_probe("f/client", "hold", server, "9090", "send", LONGEST)
    crowd = small.start_probe("f/crowd", "crowd", server, "9090", "40")

    pressure = 'weft_agent_map_pressure_ratio{map="mesh_ct"}'

    def filled() -> tuple[Any, list[str], float]:
        """Again and again: flows of before have entries until they are collected, and leave room behind them. The agent
        counts what is there with its next walk."""
        came = crowd.ask("more")
        assert set(came["refused"]) == {"ECONNREFUSED"}  # at once, by a reset, not by a timeout
        return came, reach(small, "f/client", (server, 9090)), series(metrics_of_agent(small), pressure)

    came, *_ = eventually(filled, lambda seen: seen[1] == ["ECONNREFUSED"] and seen[2] >= 0.9)
    flow = small.wait_for_flow(
        lambda flow: flow["dropReason"] == "ct-full" and flow["from"]["pod"] == "client", "--verdict", "deny"
    )
    assert flow["to"]["port"] == 9090
    page = metrics_of_agent(small)
    assert series(page, 'weft_agent_packets_total{direction="egress",reason="ct-full"}') > 0
    assert crowd.stop() == {"alive": came["held"]}
    # A pod that leaves takes its flows along.
    small.weft("delete", "pod", "crowd", "-n", "f")
    eventually(lambda: reach(small, "f/client", (server, 9090)), lambda answers: answers == ["ok"])
    assert held.stop() == {"ended": "alive"}
