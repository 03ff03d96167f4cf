"""EndpointSlices follow selectors and readiness."""

from __future__ import annotations

from lab.slices import SERVICE_NAME, endpoint_slices
from tests.unit.lab.documents import placed, pod, service


def test_one_slice_for_each_family_with_readiness_in_it() -> None:
    pods = [placed("a", "10.0.0.1", "fd00::1", labels={"app": "web"}), placed("b", "10.0.0.2", labels={"app": "web"})]
    slices = endpoint_slices([service()], pods, {"shop/a"})
    assert set(slices) == {"shop/web-ipv4", "shop/web-ipv6"}
    v4 = slices["shop/web-ipv4"]
    assert v4["metadata"]["labels"][SERVICE_NAME] == "web"
    assert v4["ports"] == [{"name": "http", "protocol": "TCP", "port": 80}]
    assert [(e["addresses"], e["conditions"]["ready"]) for e in v4["endpoints"]] == [
        (["10.0.0.1"], True),
        (["10.0.0.2"], False),
    ]
    assert v4["endpoints"][0]["targetRef"] == {"kind": "Pod", "namespace": "shop", "name": "a"}
    assert [e["addresses"] for e in slices["shop/web-ipv6"]["endpoints"]] == [["fd00::1"]]


def test_a_named_port_with_two_numbers_makes_two_slices() -> None:
    other = [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}]
    pods = [
        placed("a", "10.0.0.1", labels={"app": "web"}),
        placed("b", "10.0.0.2", labels={"app": "web"}, containers=other),
    ]
    slices = endpoint_slices([service()], pods, ())
    assert {key: item["ports"][0]["port"] for key, item in slices.items()} == {
        "shop/web-ipv4": 80,
        "shop/web-ipv4-2": 8080,
    }


def test_pods_without_address_or_port_or_of_another_namespace_are_left_out() -> None:
    udp = [{"name": "main", "ports": [{"name": "http", "containerPort": 80, "protocol": "UDP"}]}]
    pods = [
        pod("unplaced", labels={"app": "web"}),
        placed("udp", "10.0.0.3", labels={"app": "web"}, containers=udp),
        placed("elsewhere", "10.0.0.4", labels={"app": "web"}, namespace="ops"),
        placed("other", "10.0.0.5", labels={"app": "db"}),
    ]
    assert endpoint_slices([service()], pods, ()) == {}


def test_a_finished_pod_is_no_endpoint() -> None:
    done = placed("a", "10.0.0.1", labels={"app": "web"})
    done["status"]["phase"] = "Succeeded"
    assert endpoint_slices([service()], [done], ()) == {}


def test_services_without_selector_are_someone_else_s() -> None:
    pods = [placed("a", "10.0.0.1", labels={"app": "web"})]
    assert endpoint_slices([service(selector=None), service(type="ExternalName")], pods, ()) == {}


def test_a_headless_service_without_ports_still_has_members() -> None:
    pods = [placed("a", "10.0.0.1", labels={"app": "web"})]
    slices = endpoint_slices([service(clusterIP="None", ports=[])], pods, {"shop/a"})
    assert slices["shop/web-ipv4"]["ports"] == []
    assert slices["shop/web-ipv4"]["endpoints"][0]["addresses"] == ["10.0.0.1"]
