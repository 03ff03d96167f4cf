"""Whole cases of the NetworkPolicy conformance data as real packets: every pair of pods, every port, TCP and UDP."""

from __future__ import annotations

import gzip
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, running

DATA = Path(__file__).parents[1] / "conformance" / "netpol" / "cases.jsonl.gz"

# An ingress rule with both selectors and ports both ways; ipBlock with except; named ports over UDP.
CASES = (
    "set namespace to x",
    "ingress, 2-peer: empty pods + nil ns, ipblock with except",
    "direction,ingress,multi-port/protocol,named-port,numbered-port,port,protocol,rule,udp",
)


def cases() -> dict[str, Any]:
    with gzip.open(DATA, "rt") as lines:
        return {case["Description"]: case for case in map(json.loads, lines)}


def manifest(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The step's objects as Kubernetes shows them, pods spread over two nodes."""
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in ("node-1", "node-2")
    ]
    objects += [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in step["Namespaces"].items()
    ]
    for number, pod in enumerate(step["Pods"]):
        ports = []
        for port in pod["Ports"]:
            protocol, value, name = port.split("/")
            ports.append({"protocol": protocol, "containerPort": int(value), "name": name})
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": pod["Name"], "namespace": pod["NS"], "labels": pod["Labels"]},
                "spec": {
                    "nodeName": f"node-{number % 2 + 1}",
                    "containers": [{"name": "main", "image": "echo", "ports": ports}],
                },
                "status": {"podIP": pod["IP"], "podIPs": [{"ip": pod["IP"]}]},
            }
        )
    return objects + list(step["Policies"])


def wrong(cluster: Cluster, step: dict[str, Any]) -> list[dict[str, Any]]:
    """Probes whose packets fared otherwise than the case says."""
    addresses = {f"{pod['NS']}/{pod['Name']}": pod["IP"] for pod in step["Pods"]}
    wanted: dict[str, list[dict[str, Any]]] = {}
    for probe in step["Probes"]:
        if probe["From"] != probe["To"]:
            wanted.setdefault(probe["From"], []).append(probe)

    def from_pod(source: str) -> list[dict[str, Any]]:
        probes = wanted[source]
        targets = [(probe["Proto"].lower(), addresses[probe["To"]], int(probe["Port"])) for probe in probes]
        answers = cluster.probe(source, "reach", json.dumps(targets))
        return [
            {**probe, "got": answer[3]}
            for probe, answer in zip(probes, answers, strict=True)
            if (answer[3] == "ok") != (probe["Want"] == "allowed")
        ]

    with ThreadPoolExecutor(3) as pool:
        return [row for rows in pool.map(from_pod, wanted) for row in rows]


@pytest.mark.parametrize("name", CASES, ids=[re.sub(r"\W+", "-", name) for name in CASES])
def test_case_as_real_packets(name: str, tmp_path: Path) -> None:
    (step,) = cases()[name]["Steps"]
    path = tmp_path / "case.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifest(step)}))
    with running(f"test-netpol-{CASES.index(name)}", path) as cluster:
        assert [
            (probe["From"], probe["To"], probe["Proto"], probe["Port"], probe["Want"], probe["got"])
            for probe in wrong(cluster, step)
        ] == []
