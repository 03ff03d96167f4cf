"""What the words of a question stand for."""

from __future__ import annotations

import pytest

from controller.errors import BadQuestion, NoSuchThing
from controller.question import Directory
from mesh.model import Protocol, ReservedIdentity
from tests.unit.controller.manifests import POLICY, SHOP, pod, service
from tests.unit.controller.views import compiled

BLOCKS = POLICY.replace("{podSelector: {matchLabels: {app: client}}}", "{ipBlock: {cidr: 172.16.0.0/12}}")


def directory(*texts: str) -> Directory:
    return Directory(*compiled(SHOP, *texts))


def destination(text: str, port: int = 80, port_name: str = "", protocol: Protocol = Protocol.TCP) -> list[str]:
    ends = directory().destination(text, port, port_name, protocol)
    return [f"{end.address} {end.port}" for end in ends]


def test_pods_and_their_addresses_are_the_same() -> None:
    book = directory()
    (pod_end,), (address_end,) = book.source("shop/client"), book.source("10.244.2.6")
    assert pod_end.identity == address_end.identity
    assert address_end.pod is not None
    assert address_end.pod.key == "shop/client"


@pytest.mark.parametrize("text", ["shop/payments", "10.96.0.80", "payments.shop", "payments.shop.svc.cluster.local"])
def test_a_service_stands_for_its_backends_at_their_target_ports(text: str) -> None:
    assert destination(text) == ["10.244.1.5 8080"]


def test_a_deployments_name_leads_to_its_pods() -> None:
    book = directory(pod("web-x-0", spec={"nodeName": "node-1"}, status={"podIP": "10.244.1.7"}))
    near = "default/web.*; pods that begin like it: default/web-x-0"
    with pytest.raises(NoSuchThing, match=near):
        book.source("default/web")
    with pytest.raises(NoSuchThing, match=near):
        book.destination("default/web", 80, "", Protocol.TCP)


def test_ports_by_name() -> None:
    assert destination("shop/pay", 0, "web") == ["10.244.1.5 8080"]
    with pytest.raises(BadQuestion, match="has no TCP port named 'nope'"):
        destination("shop/pay", 0, "nope")
    with pytest.raises(BadQuestion, match="give the port 'web' by number"):
        destination("10.244.1.5", 0, "web")


def test_where_pod_and_service_share_a_name_the_port_tells_them_apart() -> None:
    same = service("pay", clusterIP="10.96.0.81", ports=[{"port": 90}]).replace('"default"', '"shop"')
    book = directory(same)
    assert [end.service for end in book.destination("shop/pay", 8080, "", Protocol.TCP)] == [""]
    with pytest.raises(BadQuestion, match="Service shop/pay has no ready backend on port 90"):
        book.destination("shop/pay", 90, "", Protocol.TCP)


def test_a_block_stands_for_every_identity_in_it() -> None:
    book = directory(BLOCKS)
    assert [end.identity for end in book.source("8.8.8.0/24")] == [ReservedIdentity.WORLD]
    inside = book.source("172.16.5.0/24")
    assert [end.identity >= 1 << 24 for end in inside] == [True]
    assert len(book.source("10.244.1.0/24")) == 2


def test_a_pod_on_the_nodes_network_has_the_nodes_identity() -> None:
    book = directory(pod("agent", spec={"nodeName": "node-1", "hostNetwork": True}, status={"podIP": "192.168.9.1"}))
    (end,) = book.source("default/agent")
    assert (end.identity, end.node) == (ReservedIdentity.REMOTE_NODE, "node-1")


@pytest.mark.parametrize(
    ("text", "error"),
    [("shop/ghost", NoSuchThing), ("nonsense", BadQuestion), ("10.0.0.1/8", BadQuestion), ("a/b/c", BadQuestion)],
)
def test_what_leads_nowhere_is_said(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        directory().source(text)


def test_a_name_outside_the_cluster_says_what_to_give_instead() -> None:
    with pytest.raises(NoSuchThing, match="no policy yet, give its address"):
        destination("example.com", 443)


def test_a_port_is_needed_where_the_protocol_has_ports() -> None:
    with pytest.raises(BadQuestion, match="0 is not a port"):
        destination("shop/pay", 0)
    assert destination("shop/pay", 0, protocol=Protocol.ICMP) == ["10.244.1.5 0"]
    with pytest.raises(BadQuestion, match=r"has no TCP port 81 \(it has: TCP 80\)"):
        destination("shop/payments", 81)
