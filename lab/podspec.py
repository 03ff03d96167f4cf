"""Pods as the lab runs them: what to start, with which environment, on which ports. Pure.

Read through `mesh.objects`, as the controller reads them. A container's command runs on the host's files: images are
names only, except `DNS_IMAGE`, and a container without a command is the echo server.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from mesh.model import Address, Protocol
from mesh.objects.core import Pod
from mesh.objects.kinds import from_document
from mesh.objects.podspec import Container, ContainerPort

Document = Mapping[str, Any]
"""A Kubernetes object as JSON shows it."""

DNS_IMAGE = "weft.dev/lab-dns"
_DEFAULT_PORT = 8080
_REFERENCE = re.compile(r"\$\$|\$\(([-._A-Za-z0-9]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRun:
    """What becomes of a container: a process of the host."""

    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRun:
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
    init_containers: tuple[ContainerRun, ...]
    containers: tuple[ContainerRun, ...]
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


def parse_pod(document: Document) -> PodRun:
    """A pod as the controller hands it out. Raises ObjectsRefused, which the controller would have done before."""
    pod = from_document(document)
    assert isinstance(pod, Pod)
    metadata, spec = pod.metadata, pod.spec
    fields = _downward(pod)
    own = [_container(container, fields) for container in spec.containers]
    if not any(container.ports for container in own):
        own[0] = _with_default_port(own[0])
    # Those that stay are containers like the others, only earlier in line.
    staying = [_container(container, fields) for container in spec.sidecars]
    return PodRun(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        node=spec.node_name,
        addresses=pod.ips,
        host_network=spec.host_network,
        hostname=spec.hostname or metadata.name,
        restart_policy=spec.restart_policy,
        grace_s=spec.grace_s,
        init_containers=tuple(_container(container, fields) for container in spec.init_containers),
        containers=(*staying, *own),
        digest=_digest(pod),
    )


def _digest(pod: Pod) -> str:
    fixed = {key: value for key, value in pod.document["spec"].items() if key != "nodeName"}
    text = json.dumps([pod.metadata.uid, fixed], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:16]


def _downward(pod: Pod) -> dict[str, str]:
    """What `valueFrom.fieldRef` may ask for."""
    metadata = pod.metadata
    return {
        "metadata.name": metadata.name,
        "metadata.namespace": metadata.namespace,
        "metadata.uid": metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account,
        "status.podIP": str(pod.ips[0]) if pod.ips else "",
        "status.podIPs": ",".join(map(str, pod.ips)),
        **{f"metadata.labels['{key}']": value for key, value in metadata.labels},
        **{f"metadata.annotations['{key}']": value for key, value in metadata.annotations},
    }


def _container(container: Container, fields: Mapping[str, str]) -> ContainerRun:
    env: dict[str, str] = {}
    for variable in container.environment:
        known = fields.get(variable.field_path, "")
        env[variable.name] = known if variable.source else _expand(variable.value, env)
    words = tuple(_expand(word, env) for word in (*container.command, *container.args))
    return ContainerRun(
        name=container.name,
        argv=words if container.command else _built_in(container),
        env=tuple(env.items()),
        working_dir=container.working_directory,
        ports=container.ports,
    )


def _built_in(container: Container) -> tuple[str, ...]:
    if container.image == DNS_IMAGE:
        return (sys.executable, "-m", "lab.dns")
    ports = (f"{port.protocol.name.lower()}:{port.number}" for port in container.ports)
    return (sys.executable, "-m", "lab.echo", *ports)


def _with_default_port(container: ContainerRun) -> ContainerRun:
    """No container of the pod declares a port: the first, if it is the echo server, listens on 8080."""
    if container.argv[1:] != ("-m", "lab.echo"):
        return container
    argv = (*container.argv, f"tcp:{_DEFAULT_PORT}", f"udp:{_DEFAULT_PORT}")
    return replace(container, argv=argv, ports=(ContainerPort(number=_DEFAULT_PORT),))


def _expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` becomes the value, where there is one; `$$` is a dollar sign (as Kubernetes does)."""
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else env.get(m[1], m[0]), text)
