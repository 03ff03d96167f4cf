"""Nobody notices when a part of weft is restarted or killed: no allowed flow fails, no denied one passes."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.support.cluster import Cluster

SECONDS = "8"


def started(probe: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert probe.stdout is not None
    assert json.loads(probe.stdout.readline()) == {"started": True}
    return probe


def result(probe: subprocess.Popen[str]) -> dict[str, int]:
    out, err = probe.communicate(timeout=60)
    assert probe.returncode == 0, err
    counts: dict[str, int] = json.loads(out.splitlines()[-1])["counts"]
    return counts


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_agent_goes_and_comes_back(mesh: Cluster, how: str) -> None:
    """TCP and UDP every 5 ms, allowed and denied, across a restart and a kill -9 of both nodes' agents."""
    ip = mesh.address("t/server-b")
    probes = {
        "tcp allowed": mesh.start_probe("t/client-a", "steady", "tcp", ip, "9090", SECONDS),
        "udp allowed": mesh.start_probe("t/client-a", "steady", "udp", ip, "5353", SECONDS),
        "tcp denied": mesh.start_probe("t/stranger", "steady", "tcp", ip, "9090", SECONDS),
        "udp denied": mesh.start_probe("t/stranger", "steady", "udp", ip, "5353", SECONDS),
    }
    for probe in probes.values():
        started(probe)
    time.sleep(1)
    mesh.weft("lab", how, "agent")
    mesh.settle()
    counts = {name: result(probe) for name, probe in probes.items()}
    for name in ("tcp allowed", "udp allowed"):
        assert set(counts[name]) == {"ok"}, counts
        assert counts[name]["ok"] > 200, counts
    for name in ("tcp denied", "udp denied"):
        assert "ok" not in counts[name], counts
        assert sum(counts[name].values()) > 200, counts


def test_proxy_restart_fails_no_request(mesh: Cluster) -> None:
    ip = mesh.address("t/server-b")
    allowed = started(mesh.start_probe("t/client-a", "steady", "http", ip, "8080", SECONDS, "/public"))
    denied = started(mesh.start_probe("t/client-a", "steady", "http", ip, "8080", SECONDS, "/secret"))
    time.sleep(1)
    mesh.weft("lab", "restart", "proxy")
    assert set(result(allowed)) == {"ok"}
    assert set(result(denied)) == {"403"}


def test_policy_change_fails_no_request_that_stays_allowed(mesh: Cluster) -> None:
    ip = mesh.address("t/server-a")
    l4 = started(mesh.start_probe("t/client-a", "steady", "tcp", ip, "9090", SECONDS))
    l7 = started(mesh.start_probe("t/client-a", "steady", "http", ip, "8080", SECONDS, "/public"))
    never = started(mesh.start_probe("t/stranger", "steady", "tcp", ip, "9090", SECONDS))
    for number in range(4):
        mesh.apply(f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: extra, namespace: t}}
spec:
  podSelector: {{matchLabels: {{app: server}}}}
  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: client}}}}}}], ports: [{{port: {10000 + number}}}]}}]
""")
    counts = [result(probe) for probe in (l4, l7, never)]
    mesh.delete("networkpolicy", "t/extra")
    assert set(counts[0]) == {"ok"}, counts
    assert set(counts[1]) == {"ok"}, counts
    assert "ok" not in counts[2], counts


def test_controller_away_changes_nothing(mesh: Cluster) -> None:
    ip = mesh.address("t/server-b")
    allowed = started(mesh.start_probe("t/client-a", "steady", "tcp", ip, "9090", "5"))
    denied = started(mesh.start_probe("t/stranger", "steady", "tcp", ip, "9090", "5"))
    mesh.weft("lab", "kill", "controller")
    assert set(result(allowed)) == {"ok"}
    assert "ok" not in result(denied)
    mesh.settle()
