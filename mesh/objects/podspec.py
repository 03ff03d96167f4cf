"""The part of a PodSpec that weft acts upon.

Kubernetes' other fields are known by name and passed by; what Kubernetes does not know either is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from mesh.model import Protocol
from mesh.objects.names import dns_label, dns_subdomain, environment_name, ip, port_name, program_text
from mesh.objects.reader import Reader

PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}

_POD_SPEC_PASSED_BY = (
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostPID",
    "hostUsers",
    "hostnameOverride",
    "imagePullSecrets",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
)
_CONTAINER_PASSED_BY = (
    "envFrom",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicyRules",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
)
_VALUE_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPort:
    number: int
    protocol: Protocol = Protocol.TCP
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentVariable:
    name: str
    value: str = ""
    source: str = ""
    """`fieldRef` and its like, where the value is not written in the manifest."""
    field_path: str = ""
    """For `fieldRef`: such as `status.podIP`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    environment: tuple[EnvironmentVariable, ...] = ()
    working_directory: str = ""
    ports: tuple[ContainerPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec:
    node_name: str = ""
    service_account: str = "default"
    host_network: bool = False
    containers: tuple[Container, ...] = ()
    sidecars: tuple[Container, ...] = ()
    """Init containers that stay (`restartPolicy: Always`): their ports count, too."""
    init_containers: tuple[Container, ...] = ()
    """The others, which end before the rest begins."""
    hostname: str = ""
    restart_policy: str = "Always"
    grace_s: float = 30.0

    @property
    def ports(self) -> tuple[ContainerPort, ...]:
        """Every port that some container declares, as declared."""
        return tuple(port for container in (*self.containers, *self.sidecars) for port in container.ports)


def read_pod_spec(reader: Reader) -> PodSpec:
    if not reader.raw("containers"):
        reader.refuse("containers", "at least one container is needed")
    containers = [_read_container(item) for item in reader.each("containers")]
    initial = [(item, _read_container(item)) for item in reader.each("initContainers")]
    names = [container.name for container in (*containers, *(container for _, container in initial)) if container.name]
    for name in sorted({name for name in names if names.count(name) > 1}):
        reader.refuse("containers", f"two containers are named {name!r}")
    grace = reader.number("terminationGracePeriodSeconds", 0, 2**31 - 1)
    spec = PodSpec(
        node_name=reader.text("nodeName", check=dns_subdomain),
        service_account=reader.text("serviceAccountName", default="default", check=dns_subdomain) or "default",
        host_network=reader.flag("hostNetwork"),
        containers=tuple(containers),
        sidecars=tuple(container for item, container in initial if item.raw("restartPolicy") == "Always"),
        init_containers=tuple(container for item, container in initial if item.raw("restartPolicy") != "Always"),
        hostname=reader.text("hostname", check=lambda text: dns_label(text) if text else None),
        restart_policy=reader.choice("restartPolicy", ("Always", "OnFailure", "Never"), default="Always"),
        grace_s=30.0 if grace is None else float(grace),
    )
    reader.skip(*_POD_SPEC_PASSED_BY)
    reader.close()
    return spec


def _read_container(reader: Reader) -> Container:
    container = Container(
        name=reader.text("name", check=dns_label) if reader.require("name") else "",
        image=reader.text("image"),
        command=reader.texts("command", check=program_text),
        args=reader.texts("args", check=program_text),
        environment=tuple(_read_variable(item) for item in reader.each("env")),
        working_directory=reader.text("workingDir"),
        ports=_read_ports(reader),
    )
    reader.choice("restartPolicy", ("Always", "OnFailure", "Never"))
    reader.skip(*_CONTAINER_PASSED_BY)
    reader.close()
    return container


def _read_variable(reader: Reader) -> EnvironmentVariable:
    name = reader.text("name", check=environment_name) if reader.require("name") else ""
    value = reader.text("value", check=program_text)
    origin = reader.inside("valueFrom")
    sources = [source for source in _VALUE_SOURCES if origin.has(source)]
    if reader.has("valueFrom"):
        if value:
            reader.refuse("valueFrom", "goes with no value")
        if len(sources) != 1:
            origin.refuse(None, f"exactly one of {', '.join(_VALUE_SOURCES)} is needed")
    field_path = origin.inside("fieldRef").text("fieldPath")
    origin.skip(*_VALUE_SOURCES)
    origin.close()
    reader.close()
    return EnvironmentVariable(name=name, value=value, source=sources[0] if sources else "", field_path=field_path)


def _read_ports(reader: Reader) -> tuple[ContainerPort, ...]:
    ports: list[ContainerPort] = []
    for item in reader.each("ports"):
        item.require("containerPort")
        protocol = item.choice("protocol", tuple(PROTOCOLS), default="TCP")
        name = item.text("name", check=port_name)
        if name and any(port.name == name for port in ports):
            item.refuse("name", f"two ports of this container are named {name!r}")
        number = item.number("containerPort", 1, 65535) or 0
        ports.append(ContainerPort(number=number, protocol=PROTOCOLS[protocol], name=name))
        item.number("hostPort", 0, 65535)
        item.text("hostIP", check=lambda text: ip(text) if text else None)
        item.close()
    return tuple(ports)
