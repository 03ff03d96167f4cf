"""What of a Pod the lab runs."""

from __future__ import annotations

from lab.podspec import DNS_IMAGE, given_addresses, parse_pod
from tests.unit.lab.documents import placed, pod


def test_a_container_without_command_is_the_echo_server_on_its_ports() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]
    spec = parse_pod(pod(containers=[{"name": "main", "ports": ports}]))
    assert spec.containers[0].argv[1:] == ("-m", "lab.echo", "tcp:80", "udp:53")
    assert spec.tcp_ports == {80}


def test_without_any_port_the_echo_server_listens_on_8080() -> None:
    spec = parse_pod(pod(containers=[{"name": "main"}, {"name": "side"}]))
    assert spec.containers[0].argv[1:] == ("-m", "lab.echo", "tcp:8080", "udp:8080")
    assert spec.containers[1].argv[1:] == ("-m", "lab.echo")
    assert spec.tcp_ports == {8080}


def test_a_command_without_ports_gets_none() -> None:
    spec = parse_pod(pod(containers=[{"name": "main", "command": ["sleep", "9"]}]))
    assert spec.containers[0].argv == ("sleep", "9")
    assert spec.tcp_ports == frozenset()


def test_command_arguments_and_variables_are_expanded_as_kubernetes_does() -> None:
    env = [
        {"name": "WHO", "value": "me"},
        {"name": "HELLO", "value": "hello $(WHO)"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
    ]
    command = {"name": "main", "command": ["say", "$(HELLO)"], "args": ["$$(WHO)", "$(NOBODY)"], "env": env}
    container = parse_pod(placed("web", "10.0.0.7", containers=[command])).containers[0]
    assert container.argv == ("say", "hello me", "$(WHO)", "$(NOBODY)")
    assert dict(container.env)["POD"] == "web"
    assert dict(container.env)["IP"] == "10.0.0.7"
    assert dict(container.env)["APP"] == "web"


def test_the_dns_image_is_the_lab_s_own_server() -> None:
    assert parse_pod(pod(containers=[{"name": "dns", "image": DNS_IMAGE}])).containers[0].argv[2] == "lab.dns"


def test_init_containers_that_stay_run_beside_the_others() -> None:
    initial = [{"name": "once", "command": ["true"]}, {"name": "stays", "command": ["s"], "restartPolicy": "Always"}]
    spec = parse_pod(pod(spec={"initContainers": initial}))
    assert [container.name for container in spec.init_containers] == ["once"]
    assert [container.name for container in spec.containers] == ["stays", "main"]


def test_the_digest_is_of_what_cannot_change_while_it_runs() -> None:
    fresh = parse_pod(pod())
    assert parse_pod(placed("web", "10.0.0.7", labels={"app": "other"})).digest == fresh.digest
    assert parse_pod(pod(uid="another")).digest != fresh.digest
    assert parse_pod(pod(containers=[{"name": "main", "command": ["x"]}])).digest != fresh.digest


def test_addresses_come_from_pod_ips_or_pod_ip() -> None:
    assert [str(ip) for ip in given_addresses({"status": {"podIP": "1.2.3.4"}})] == ["1.2.3.4"]
    both = {"status": {"podIP": "1.2.3.4", "podIPs": [{"ip": "1.2.3.4"}, {"ip": "fd00::1"}]}}
    assert [str(ip) for ip in given_addresses(both)] == ["1.2.3.4", "fd00::1"]
    assert given_addresses({}) == ()
