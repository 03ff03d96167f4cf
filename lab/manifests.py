"""What `lab up` is given: files, directories (all *.yaml, *.yml, *.json below) or `-`, and what the lab adds to it.

Added are the Namespaces that every cluster has, a Node where none is given, and cluster DNS where the manifests do not
bring a Service kube-system/kube-dns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lab.addressing import DNS4, DNS6
from lab.podspec import DNS_IMAGE
from mesh.objects.documents import MAX_BYTES
from mesh.objects.references import NAMESPACES_THAT_ALWAYS_EXIST

SUFFIXES = (".yaml", ".yml", ".json")
DEFAULT_NODE = "node-1"


class CannotRead(RuntimeError):
    """A path is not there, is no text, or holds no manifest."""


def read(paths: Sequence[str]) -> list[tuple[str, str]]:
    """(file, text) of every manifest, in the order given and by name within a directory; each file once."""
    found: dict[str, str] = {}
    for path in paths:
        if path == "-":
            found["<stdin>"] = _text(sys.stdin.buffer, "<stdin>")
            continue
        for file in _files(path):
            found.setdefault(str(file), _opened(file))
    return list(found.items())


def _files(given: str) -> list[Path]:
    if not given:
        raise CannotRead("an empty path; name a file, a directory, or - for standard input")
    path = Path(given)
    if not path.exists():
        raise CannotRead(f"{path}: no such file or directory")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise CannotRead(f"{path}: the directory holds no {', '.join(SUFFIXES)} file")
    return files


def _opened(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return _text(stream, str(file))
    except OSError as error:
        raise CannotRead(f"{file}: cannot be read: {error.strerror}") from error


def _text(stream: BinaryIO, file: str) -> str:
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise CannotRead(f"{file}: larger than {MAX_BYTES >> 20} MiB; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotRead(f"{file}: byte {error.start}: not UTF-8 text") from error


def additions(present: Iterable[tuple[str, str]], zone: Path) -> list[tuple[str, str]]:
    """More (file, text), for objects given as (kind, key)."""
    held = set(present)
    documents: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in sorted(NAMESPACES_THAT_ALWAYS_EXIST)
        if ("Namespace", name) not in held
    ]
    if not any(kind == "Node" for kind, _ in held):
        documents.append({"apiVersion": "v1", "kind": "Node", "metadata": {"name": DEFAULT_NODE}})
    if ("Service", "kube-system/kube-dns") not in held:
        documents += _dns(zone)
    if not documents:
        return []
    return [("lab additions", json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))]


def _dns(zone: Path) -> list[dict[str, Any]]:
    labels = {"k8s-app": "kube-dns"}
    metadata = {"name": "kube-dns", "namespace": "kube-system", "labels": labels}
    ports = [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]
    container = {
        "name": "dns",
        "image": DNS_IMAGE,
        "env": [{"name": "WEFT_LAB_ZONE", "value": str(zone)}],
        "ports": [{"name": p["name"], "protocol": p["protocol"], "containerPort": p["port"]} for p in ports],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": str(DNS4),
                "clusterIPs": [str(DNS4), str(DNS6)],
                "ipFamilyPolicy": "PreferDualStack",
                "selector": labels,
                "ports": [{**port, "targetPort": 53} for port in ports],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
    ]
