"""Nobody notices when a part of weft is restarted or killed: no allowed flow fails, no denied one passes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from agent.datapath.programs import pin_folder
from tests.support.cluster import Cluster, Probe
from tests.support.probes import LEAST
from tests.support.versions import forget

LONGEST = "600"
BEFORE_S, AFTER_S = 1.0, 1.5
"""How long the probes run before something happens, and after everything has settled."""
UNHEARD_S = "1"
"""ICMP errors are rate-limited, so many a denied datagram has no answer at all; nobody waits long for one."""


DENY_PUBLIC = """
apiVersion: weft.dev/v1alpha1
kind: MeshPolicy
metadata: {name: no-public, namespace: t}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - action: Deny
    http: [{paths: [{prefix: /public}]}]
"""


def with_children(pid: int) -> list[int]:
    """A process and those that it started."""
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(other for child in told for other in with_children(int(child)))]


def steady(mesh: Cluster, pod: str, protocol: str, address: str, port: str, *more: str) -> Probe:
    """Stopped by `outcomes`; it makes LEAST exchanges (tests.support.probes) before it ends."""
    return mesh.start_probe(pod, "steady", protocol, address, port, LONGEST, *more)


def outcomes(probe: Probe) -> dict[str, int]:
    return dict(probe.stop()["counts"])


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_agent_goes_and_comes_back(mesh: Cluster, how: str) -> None:
    """TCP and UDP every 5 ms, allowed and denied, across a restart and a kill -9 of both nodes' agents."""
    ip = mesh.address("t/server-b")
    probes = {
        (pod, protocol): steady(mesh, pod, protocol, ip, port, *patience)
        for pod, patience in (("t/client-a", ()), ("t/stranger", ("/", UNHEARD_S)))
        for protocol, port in (("tcp", "9090"), ("udp", "5353"))
    }
    time.sleep(BEFORE_S)
    if how == "kill":
        mesh.kill("agent")
    else:
        mesh.weft("lab", "restart", "agent")
        mesh.whole()
    time.sleep(AFTER_S)
    seen = {name: outcomes(probe) for name, probe in probes.items()}
    for (pod, _), counts in seen.items():
        if pod == "t/client-a":
            assert set(counts) == {"ok"}, seen
        else:
            assert "ok" not in counts, seen
        assert sum(counts.values()) >= LEAST, seen


def test_an_upgrade_to_other_layouts_of_the_maps_fails_no_request(mesh: Cluster) -> None:
    """Programs and proxy are replaced, or told of new maps, one after the other: all must find what the others left."""
    ip = mesh.address("t/server-b")
    allowed = steady(mesh, "t/client-a", "http", ip, "8080", "/public")
    denied = steady(mesh, "t/client-a", "http", ip, "8080", "/secret")
    raw = steady(mesh, "t/client-a", "tcp", ip, "9090")
    time.sleep(BEFORE_S)
    for node in ("node-a", "node-b"):
        forget(pin_folder("/sys/fs/bpf", f"{mesh.name}_{node}") / "maps", layout=True)
    mesh.weft("lab", "restart", "agent")
    mesh.settle()
    time.sleep(AFTER_S)
    assert set(outcomes(allowed)) == {"ok"}
    assert set(outcomes(denied)) == {"403"}
    assert set(outcomes(raw)) == {"ok"}


@pytest.mark.parametrize("agent", ["stays", "killed"])
def test_a_proxy_that_stood_still_judges_by_no_policy_of_before(mesh: Cluster, agent: str) -> None:
    """It wakes up with requests to answer, before it hears of what was acknowledged meanwhile."""
    ip = mesh.address("t/server-b")
    held = mesh.start_probe("t/client-a", "late", ip, "8080", "/public", LONGEST)
    components = mesh.json("lab", "status")["components"]
    proxies = [pid for row in components if row["component"] == "proxy" for pid in with_children(row["pid"])]
    try:
        for pid in proxies:
            os.kill(pid, signal.SIGSTOP)
        if agent == "killed":
            mesh.weft("lab", "kill", "agent")
        mesh.apply(DENY_PUBLIC)
        held.ask("ask")
    finally:
        for pid in proxies:
            os.kill(pid, signal.SIGCONT)
    try:
        seen = held.wait()
    finally:
        mesh.delete("meshpolicy", "t/no-public")
        mesh.whole()
    assert held.first == "ok"
    assert "ok" not in seen.values(), seen


def test_proxy_restart_fails_no_request(mesh: Cluster) -> None:
    ip = mesh.address("t/server-b")
    allowed = steady(mesh, "t/client-a", "http", ip, "8080", "/public")
    denied = steady(mesh, "t/client-a", "http", ip, "8080", "/secret")
    time.sleep(BEFORE_S)
    mesh.weft("lab", "restart", "proxy")
    mesh.whole()
    time.sleep(AFTER_S)
    assert set(outcomes(allowed)) == {"ok"}
    assert set(outcomes(denied)) == {"403"}


def test_policy_change_fails_no_request_that_stays_allowed(mesh: Cluster) -> None:
    ip = mesh.address("t/server-a")
    l4 = steady(mesh, "t/client-a", "tcp", ip, "9090")
    l7 = steady(mesh, "t/client-a", "http", ip, "8080", "/public")
    never = steady(mesh, "t/stranger", "tcp", ip, "9090")
    for number in range(4):
        mesh.apply(f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: extra, namespace: t}}
spec:
  podSelector: {{matchLabels: {{app: server}}}}
  ingress: [{{from: [{{podSelector: {{matchLabels: {{app: client}}}}}}], ports: [{{port: {10000 + number}}}]}}]
""")
    mesh.delete("networkpolicy", "t/extra")
    time.sleep(AFTER_S)
    seen = [outcomes(probe) for probe in (l4, l7, never)]
    assert set(seen[0]) == {"ok"}, seen
    assert set(seen[1]) == {"ok"}, seen
    assert seen[2], seen
    assert "ok" not in seen[2], seen


def test_controller_away_changes_nothing(mesh: Cluster) -> None:
    ip = mesh.address("t/server-b")
    allowed = steady(mesh, "t/client-a", "tcp", ip, "9090")
    denied = steady(mesh, "t/stranger", "tcp", ip, "9090")
    mesh.kill("controller")
    time.sleep(AFTER_S)
    let_through, stopped = outcomes(allowed), outcomes(denied)
    assert set(let_through) == {"ok"}
    assert stopped
    assert "ok" not in stopped
