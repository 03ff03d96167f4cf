"""The part of a PodSpec that is read, and the part that is passed by."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.model import Protocol
from mesh.objects.core import Pod
from mesh.objects.kinds import from_document
from mesh.objects.podspec import Container, ContainerPort, EnvironmentVariable, PodSpec
from tests.support.manifests import pod, refusals

CONTAINER: dict[str, Any] = {
    "name": "main",
    "image": "app:1",
    "command": ["/bin/app"],
    "args": ["--port", "8080"],
    "workingDir": "/srv",
    "env": [{"name": "A", "value": "1"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
    "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 53, "protocol": "UDP", "hostPort": 0}],
    "resources": {"limits": {"cpu": 1}},
    "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
}


def read(**spec: Any) -> PodSpec:
    found = from_document(pod(**spec))
    assert isinstance(found, Pod)
    return found.spec


def test_a_container_is_read() -> None:
    (found,) = read(containers=[CONTAINER]).containers
    assert found == Container(
        name="main",
        image="app:1",
        command=("/bin/app",),
        args=("--port", "8080"),
        working_directory="/srv",
        environment=(
            EnvironmentVariable(name="A", value="1"),
            EnvironmentVariable(name="IP", source="fieldRef", field_path="status.podIP"),
        ),
        ports=(ContainerPort(number=8080, name="http"), ContainerPort(number=53, protocol=Protocol.UDP)),
    )


def test_defaults() -> None:
    spec = read()
    assert (spec.service_account, spec.host_network, spec.node_name) == ("default", False, "")
    assert (spec.hostname, spec.restart_policy, spec.grace_s) == ("", "Always", 30.0)


def test_what_kubernetes_knows_is_passed_by() -> None:
    spec = read(tolerations=[{}], volumes=[{"name": "x"}], nodeName="one", serviceAccountName="sa", hostNetwork=True)
    assert (spec.service_account, spec.host_network, spec.node_name) == ("sa", True, "one")


def test_how_a_pod_begins_and_ends_is_read() -> None:
    setup = {"name": "setup", "command": ["true"]}
    spec = read(initContainers=[setup], hostname="h", restartPolicy="Never", terminationGracePeriodSeconds=0)
    assert [container.name for container in spec.init_containers] == ["setup"]
    assert (spec.hostname, spec.restart_policy, spec.grace_s, spec.sidecars) == ("h", "Never", 0.0, ())


def test_ports_of_sidecars_count_and_those_of_init_containers_do_not() -> None:
    stays = {"name": "mesh", "restartPolicy": "Always", "ports": [{"containerPort": 1}]}
    ends = {"name": "setup", "ports": [{"containerPort": 2}]}
    assert [port.number for port in read(initContainers=[stays, ends]).ports] == [1]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"containers": []}, "spec.containers: at least one container"),
        ({"containers": [{"image": "x"}]}, "spec.containers[0].name: is missing"),
        ({"containers": [CONTAINER, CONTAINER]}, "spec.containers: two containers are named 'main'"),
        ({"contianers": [CONTAINER]}, "spec.contianers: unknown field; did you mean 'containers'?"),
        (
            {"containers": [{**CONTAINER, "comand": ["x"]}]},
            "spec.containers[0].comand: unknown field; did you mean 'command'",
        ),
        ({"containers": [{**CONTAINER, "command": "x"}]}, "spec.containers[0].command: expected a list"),
        ({"containers": [{**CONTAINER, "args": [1]}]}, "spec.containers[0].args[0]: expected text, found the number 1"),
        (
            {"containers": [{**CONTAINER, "env": [{"name": "A", "value": 1}]}]},
            "spec.containers[0].env[0].value: expected",
        ),
        (
            {"containers": [{**CONTAINER, "env": [{"name": "A", "valueFrom": {}}]}]},
            "spec.containers[0].env[0].valueFrom:",
        ),
        (
            {"containers": [{**CONTAINER, "ports": [{"containerPort": 70000}]}]},
            "spec.containers[0].ports[0].containerPort",
        ),
        (
            {"containers": [{**CONTAINER, "ports": [{"name": "x"}]}]},
            "spec.containers[0].ports[0].containerPort: is missing",
        ),
        (
            {"containers": [{**CONTAINER, "ports": [{"containerPort": 1, "protocol": "ICMP"}]}]},
            "spec.containers[0].ports[0].protocol: 'ICMP' is none of TCP, UDP, SCTP",
        ),
        (
            {"containers": [{**CONTAINER, "ports": [{"containerPort": p, "name": "http"} for p in (1, 2)]}]},
            "spec.containers[0].ports[1].name: two ports",
        ),
        ({"containers": [{**CONTAINER, "command": ["a\0b"]}]}, "spec.containers[0].command[0]: a NUL"),
        ({"terminationGracePeriodSeconds": "soon"}, "spec.terminationGracePeriodSeconds: expected a whole number"),
        ({"terminationGracePeriodSeconds": -1}, "spec.terminationGracePeriodSeconds: -1 is not within"),
        ({"hostname": "a\nb"}, "spec.hostname: "),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy: 'Sometimes' is none of"),
        ({"hostNetwork": "yes"}, "spec.hostNetwork: expected true or false"),
        ({"nodeName": "Node One"}, "spec.nodeName: 'Node One' is not a name"),
    ],
)
def test_bad_specs_are_refused(change: dict[str, Any], problem: str) -> None:
    found = refusals(pod(**change))
    assert any(text.startswith(problem) for text in found), found
