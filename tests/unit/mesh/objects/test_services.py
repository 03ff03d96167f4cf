"""Service and EndpointSlice."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from mesh.model import Protocol
from mesh.objects.kinds import from_document
from mesh.objects.services import EndpointSlice, Service, ServicePort, SliceEndpoint, SlicePort
from tests.support.manifests import Document, refusals


def service(**spec: Any) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "payments", "namespace": "shop"},
        "spec": {"selector": {"app": "payments"}, "ports": [{"port": 80}], **spec},
    }


def read(**spec: Any) -> Service:
    found = from_document(service(**spec))
    assert isinstance(found, Service)
    return found


def test_a_target_port_is_a_number_a_name_or_the_port_itself() -> None:
    ports = [{"port": 80, "name": "a"}, {"port": 81, "name": "b", "targetPort": 8080},
             {"port": 82, "name": "c", "targetPort": "http", "protocol": "UDP"}]  # fmt: skip
    assert read(ports=ports).ports == (
        ServicePort(port=80, name="a", target=80),
        ServicePort(port=81, name="b", target=8080),
        ServicePort(port=82, name="c", target="http", protocol=Protocol.UDP),
    )


def test_addresses() -> None:
    assert read(clusterIP="10.96.0.1", clusterIPs=["10.96.0.1", "fd00::1"]).cluster_ips == (
        ip_address("10.96.0.1"), ip_address("fd00::1"),
    )  # fmt: skip
    assert read(clusterIP="None").headless
    assert read(ipFamilies=["IPv6", "IPv4"]).ip_families == (6, 4)
    assert read().cluster_ips == ()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}], "externalTrafficPolicy": "Local"},
        {"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1", "loadBalancerSourceRanges": ["192.0.2.0/24"],
         "healthCheckNodePort": 30081, "allocateLoadBalancerNodePorts": False, "loadBalancerClass": "example.com/lb"},
    ],
)  # fmt: skip
def test_the_way_from_outside_is_read_and_left_alone(change: Document) -> None:
    assert read(**change).ports == read(ports=[{"port": 80}]).ports


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 70000}]}, "spec.ports[0].nodePort: 70000 is not"),
        (
            {"ports": [{"port": 80, "nodePort": 30080}]},
            "spec.ports[0].nodePort: goes with type NodePort or LoadBalancer",
        ),
        ({"type": "LoadBalancer", "loadBalancerIP": "x"}, "spec.loadBalancerIP: 'x' is not an IPv4"),
        ({"type": "NodePort", "loadBalancerIP": "1.2.3.4"}, "spec.loadBalancerIP: goes with type LoadBalancer"),
        ({"type": "LoadBalancer", "loadBalancerSourceRanges": ["x"]}, "spec.loadBalancerSourceRanges[0]: 'x' is not"),
        ({"type": "NodePort", "externalTrafficPolicy": "local"}, "spec.externalTrafficPolicy: 'local' is none of"),
        ({"type": "NodePort", "clusterIP": "None"}, "spec.clusterIP: None goes with type ClusterIP, not with NodePort"),
        ({"type": "ExternalName", "externalName": "x.y"}, "spec.type: ExternalName is not supported yet"),
        ({"type": "Cluster"}, "spec.type: 'Cluster' is none of"),
        ({"sessionAffinity": "ClientIP"}, "spec.sessionAffinity: ClientIP is not supported yet"),
        ({"externalIPs": ["1.2.3.4"]}, "spec.externalIPs: not supported yet"),
        ({"ports": []}, "spec.ports: at least one port is needed"),
        ({"ports": [{"port": 70000}]}, "spec.ports[0].port: 70000 is not within 1 to 65535"),
        ({"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[0].name: is needed where a service has several ports"),
        ({"ports": [{"port": 80, "targetPort": "8080"}]}, "spec.ports[0].targetPort: '8080' is text; write the number"),
        (
            {"ports": [{"port": 80, "targetport": 1}]},
            "spec.ports[0].targetport: unknown field; did you mean 'targetPort'",
        ),
        ({"ports": [{"port": 80, "protocol": "tcp"}]}, "spec.ports[0].protocol: 'tcp' is none of TCP, UDP, SCTP"),
        ({"clusterIP": "10.96.0"}, "spec.clusterIP: '10.96.0' is not an IPv4"),
        ({"clusterIPs": ["10.96.0.1", "10.96.0.2"]}, "spec.clusterIPs: at most one address of each family"),
        ({"clusterIPs": ["None", "10.96.0.2"]}, "spec.clusterIPs: None stands alone"),
        ({"selector": {"app": 1}}, "spec.selector.app: expected text"),
    ],
)
def test_bad_services_are_refused(change: Document, problem: str) -> None:
    found = refusals(service(**change))
    assert any(text.startswith(problem) for text in found), found


def endpoint_slice(**change: Any) -> Document:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "p-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "payments"}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": False}, "nodeName": "one",
             "targetRef": {"kind": "Pod", "name": "p", "namespace": "shop"}}
        ],
        "ports": [{"name": "http", "port": 8080}],
        **change,
    }  # fmt: skip


def test_a_slice_is_read() -> None:
    found = from_document(endpoint_slice())
    assert isinstance(found, EndpointSlice)
    assert (found.service, found.version) == ("shop/payments", 4)
    assert found.endpoints == (
        SliceEndpoint(addresses=(ip_address("10.0.0.1"),), ready=False, node_name="one", pod="shop/p"),
    )
    assert found.ports == (SlicePort(name="http", port=8080),)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"addressType": "FQDN"}, "addressType: FQDN is not supported yet"),
        ({"addressType": None}, "addressType: is missing"),
        ({"endpoints": [{"addresses": ["fd00::1"]}]}, "endpoints[0].addresses[0]: fd00::1 is not of the slice's"),
        ({"endpoints": [{}]}, "endpoints[0].addresses: at least one address"),
        ({"ports": [{"port": 0}]}, "ports[0].port: 0 is not within"),
        ({"spec": {}}, "spec: unknown field"),
    ],
)
def test_bad_slices_are_refused(change: Document, problem: str) -> None:
    found = refusals(endpoint_slice(**change))
    assert any(text.startswith(problem) for text in found), found
