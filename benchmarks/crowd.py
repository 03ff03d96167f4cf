"""A node with many idle pods under a real controller, as the benchmarks of memory and start need it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from benchmarks import control
from benchmarks.hosts import Network
from benchmarks.intent import NAMESPACE
from benchmarks.node import MeshNode
from benchmarks.options import Options
from benchmarks.topology import LOAD_CPU, OUTSIDE, add_pod, one_node

APPS = 10
RULES = 10
"""Ten applications of equal pods; each has a NetworkPolicy of ten rules in each direction and an HTTP rule."""


def crowded_node(stack: ExitStack, options: Options, label: str, pods: int) -> MeshNode:
    """The node with `pods` pods that an agent has enforced once; no agent runs."""
    network = stack.enter_context(Network(label))
    folder = options.scratch / label
    folder.mkdir()
    node, _, _ = one_node(network)
    addresses = {f"pod-{number}": f"10.78.{number // 250}.{number % 250 + 1}" for number in range(pods)}
    control.controller(stack, network.named("outside"), OUTSIDE, folder, cpu=LOAD_CPU)
    token = control.prepare(folder, _objects(label, addresses), label)
    mesh = stack.enter_context(MeshNode(node, label, folder, controller=f"{OUTSIDE}:{control.PORT}", token=token))
    agent = mesh.start_agent()
    agent.wait_until(mesh.answers, 60, "answer on its local API")
    for name, address in addresses.items():
        mesh.add_pod(name, add_pod(network, node.host, name, address))
    agent.stop()
    options.progress(f"{label}: {pods} pods stand")
    return mesh


def _objects(node: str, addresses: dict[str, str]) -> list[dict[str, Any]]:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    place = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "spec": {"podCIDRs": ["10.78.0.0/16"]}}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": f"app-{number % APPS}"}},
            "spec": {"nodeName": node, "containers": [{"name": "idle", "ports": [{"containerPort": 8080}]}]},
            "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"},
        }
        for number, (name, address) in enumerate(addresses.items())
    ]
    return [space, place, *pods, *(policy for number in range(APPS) for policy in _policies(number))]


def _policies(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    subject = {"podSelector": {"matchLabels": {"app": f"app-{number}"}}}
    metadata = {"name": f"app-{number}", "namespace": NAMESPACE}
    rules = [
        ([{"podSelector": {"matchLabels": {"app": f"app-{rule}"}}}], [{"port": 8000 + rule}]) for rule in range(RULES)
    ]
    plain = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            **subject,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": peers, "ports": ports} for peers, ports in rules],
            "egress": [{"to": peers, "ports": ports} for peers, ports in rules],
        },
    }
    ask = {"action": "Allow", "ports": [{"port": 9000}], "http": [{"methods": ["GET"], "paths": [{"prefix": "/"}]}]}
    http = {
        "apiVersion": "weft.dev/v1alpha1",
        "kind": "MeshPolicy",
        "metadata": metadata,
        "spec": {**subject, "ingress": [ask]},
    }
    return plain, http
