"""The recorded NetworkPolicy cases, and each step as manifests that `mesh.objects` reads."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_POLICY = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
"""Some recorded policies leave this out."""
DATA = Path(__file__).with_name("cases.jsonl.gz")


@dataclass(frozen=True, slots=True)
class Probe:
    source: str
    destination: str
    protocol: str
    port: int
    allowed: bool
    egress_allowed: bool
    ingress_allowed: bool


@dataclass(frozen=True, slots=True)
class Step:
    documents: tuple[dict[str, Any], ...]
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Case:
    number: int
    description: str
    steps: tuple[Step, ...]


@cache
def load() -> tuple[Case, ...]:
    with gzip.open(DATA, "rt") as lines:
        records = [json.loads(line) for line in lines]
    return tuple(
        Case(number, record["Description"], tuple(_step(step) for step in record["Steps"]))
        for number, record in enumerate(records)
    )


def _step(step: dict[str, Any]) -> Step:
    return Step(
        (*_namespaces(step), *_pods(step), *({**_POLICY, **policy} for policy in step["Policies"])),
        tuple(
            Probe(
                probe["From"], probe["To"], probe["Proto"], int(probe["Port"]),
                *(probe[key] == "allowed" for key in ("Want", "Egress", "Ingress")),
            )
            for probe in step["Probes"]
            if probe["From"] != probe["To"]
        ),
    )  # fmt: skip


def _namespaces(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, labels in step["Namespaces"].items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _pods(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for pod in step["Pods"]:
        ports = []
        for text in pod["Ports"]:
            protocol, number, name = text.split("/")
            ports.append({"containerPort": int(number), "protocol": protocol, "name": name})
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod["Name"], "namespace": pod["NS"], "labels": pod["Labels"]},
            "spec": {"containers": [{"name": "server", "image": "server", "ports": ports}]},
            "status": {"podIP": pod["IP"], "phase": "Running"},
        }
