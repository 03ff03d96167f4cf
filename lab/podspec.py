"""Pods as the lab runs them: what to start, with which environment, on which ports. Pure.

Read from the documents that the controller hands out (it validated them at its door), so a missing field means its
Kubernetes default. A container's command runs on the host's files: images are names only, except `DNS_IMAGE`, and a
container without a command is the echo server.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from mesh.model import Address, Protocol

Document = Mapping[str, Any]
"""A Kubernetes object as JSON shows it."""

DNS_IMAGE = "weft.dev/lab-dns"
_DEFAULT_PORT = 8080
_REFERENCE = re.compile(r"\$\$|\$\(([-._A-Za-z0-9]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    number: int
    protocol: Protocol
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    working_dir: str
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec:
    """One Pod, placed or not."""

    namespace: str
    name: str
    uid: str
    node: str
    addresses: tuple[Address, ...]
    host_network: bool
    hostname: str
    restart_policy: str
    grace_s: float
    init_containers: tuple[Container, ...]
    containers: tuple[Container, ...]
    digest: str
    """Of all that cannot change while the pod runs; another digest is another pod."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def tcp_ports(self) -> frozenset[int]:
        return frozenset(p.number for c in self.containers for p in c.ports if p.protocol is Protocol.TCP)


def key_of(document: Document) -> str:
    """`namespace/name`, or the name of a cluster-wide object."""
    metadata = document["metadata"]
    namespace = metadata.get("namespace", "")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def given_addresses(document: Document) -> tuple[Address, ...]:
    """`status.podIPs`, or `status.podIP` alone."""
    status = document.get("status") or {}
    texts = [entry.get("ip", "") for entry in status.get("podIPs") or ()] or [status.get("podIP", "")]
    return tuple(ip_address(text) for text in texts if text)


def parse_pod(document: Document) -> PodSpec:
    metadata, spec = document["metadata"], document.get("spec") or {}
    addresses = given_addresses(document)
    downward = _downward(document, addresses)
    read = [_container(item, downward) for item in spec.get("containers") or ()]
    if not any(container.ports for container in read):
        read = [_with_default_port(container, at=index) for index, container in enumerate(read)]
    initial = spec.get("initContainers") or ()
    # those that stay are containers like the others, only earlier in line
    read = [_container(item, downward) for item in initial if item.get("restartPolicy") == "Always"] + read
    init = [_container(item, downward) for item in initial if item.get("restartPolicy") != "Always"]
    return PodSpec(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        node=spec.get("nodeName", ""),
        addresses=addresses,
        host_network=bool(spec.get("hostNetwork", False)),
        hostname=spec.get("hostname") or metadata["name"],
        restart_policy=spec.get("restartPolicy") or "Always",
        grace_s=30.0 if (grace := spec.get("terminationGracePeriodSeconds")) is None else float(grace),
        init_containers=tuple(init),
        containers=tuple(read),
        digest=_digest(metadata, spec),
    )


def _digest(metadata: Document, spec: Document) -> str:
    fixed = {key: value for key, value in spec.items() if key != "nodeName"}
    text = json.dumps([metadata.get("uid", ""), fixed], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:16]


def _downward(document: Document, addresses: Sequence[Address]) -> dict[str, str]:
    """What `valueFrom.fieldRef` may ask for."""
    metadata, spec = document["metadata"], document.get("spec") or {}
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", "default"),
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": str(addresses[0]) if addresses else "",
        "status.podIPs": ",".join(map(str, addresses)),
    }
    for kind in ("labels", "annotations"):
        for key, value in (metadata.get(kind) or {}).items():
            fields[f"metadata.{kind}['{key}']"] = value
    return fields


def _container(item: Document, downward: Mapping[str, str]) -> Container:
    env = _environment(item.get("env") or (), downward)
    command = [_expand(str(word), env) for word in item.get("command") or ()]
    arguments = [_expand(str(word), env) for word in item.get("args") or ()]
    ports = tuple(
        Port(number=port["containerPort"], protocol=Protocol[port.get("protocol", "TCP")], name=port.get("name", ""))
        for port in item.get("ports") or ()
    )
    argv = tuple(command + arguments) if command else _built_in(item, ports)
    return Container(
        name=item.get("name", "main"),
        argv=argv,
        env=tuple(env.items()),
        working_dir=item.get("workingDir") or "",
        ports=ports,
    )


def _built_in(item: Document, ports: Sequence[Port]) -> tuple[str, ...]:
    if item.get("image") == DNS_IMAGE:
        return (sys.executable, "-m", "lab.dns")
    return (sys.executable, "-m", "lab.echo", *(f"{port.protocol.name.lower()}:{port.number}" for port in ports))


def _with_default_port(container: Container, *, at: int) -> Container:
    """No container of the pod declares a port: the first, if it is the echo server, listens on 8080."""
    if at or container.argv[1:] != ("-m", "lab.echo"):
        return container
    return Container(
        name=container.name,
        argv=(*container.argv, f"tcp:{_DEFAULT_PORT}", f"udp:{_DEFAULT_PORT}"),
        env=container.env,
        working_dir=container.working_dir,
        ports=(Port(number=_DEFAULT_PORT, protocol=Protocol.TCP),),
    )


def _environment(entries: Sequence[Document], downward: Mapping[str, str]) -> dict[str, str]:
    env: dict[str, str] = {}
    for entry in entries:
        if "valueFrom" in entry:
            path = ((entry["valueFrom"] or {}).get("fieldRef") or {}).get("fieldPath", "")
            env[entry["name"]] = downward.get(path, "")
        else:
            env[entry["name"]] = _expand(str(entry.get("value", "")), env)
    return env


def _expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` becomes the value, where there is one; `$$` is a dollar sign (as Kubernetes does)."""
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else env.get(m[1], m[0]), text)
