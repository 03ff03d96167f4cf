"""The two shapes that the benchmarks use. Addresses are fixed: each network has namespaces of its own."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.hosts import Host, Network

LOAD_CPU = 1
WORK_CPU = 0
"""Client and upstream share one CPU, what is measured has the other. On more than two CPUs the rest stays idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A namespace behind a veth of its node, addressed by /32 as the lab and Kubernetes' plugins do."""

    host: Host
    address: str
    host_ifname: str
    """Of the node's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    host: Host
    address: str
    uplink: str


GATEWAY = "169.254.1.1"
OUTSIDE = "10.77.0.2"
"""Of the host `outside` of a single node, where a controller can run."""


def add_pod(network: Network, node: Host, name: str, address: str) -> Pod:
    """A pod whose only neighbour is its node."""
    host = network.host(name)
    outer = f"p-{name}"
    network.link(host, "eth0", node, outer)
    host.ip(
        f"address add {address}/32 dev eth0\n"
        f"route add {GATEWAY} dev eth0 scope link\n"
        f"route add default via {GATEWAY} dev eth0\n"
    )
    node.ip(f"address add {GATEWAY}/32 dev {outer}\nroute add {address}/32 dev {outer}\n")
    return Pod(host=host, address=address, host_ifname=outer)


def one_node(network: Network) -> tuple[Node, Pod, Pod]:
    """Client and server pods on one node: (node, client, server)."""
    node = network.host("node")
    node.forward()
    outside = network.host("outside")
    network.link(node, "up0", outside, "up0")
    node.ip("address add 10.77.0.1/24 dev up0\n")
    outside.ip(f"address add {OUTSIDE}/24 dev up0\n")
    client = add_pod(network, node, "client", "10.77.1.2")
    server = add_pod(network, node, "server", "10.77.2.2")
    return Node(host=node, address="10.77.0.1", uplink="up0"), client, server


def two_nodes(network: Network) -> tuple[tuple[Node, Pod], tuple[Node, Pod]]:
    """A client pod and its node, a server pod and its node, the nodes on one bridge."""
    switch = network.host("switch")
    switch.ip("link add br0 type bridge\nlink set br0 up\n")
    ends = []
    for number, name in ((1, "client"), (2, "server")):
        node = network.host(f"node{number}")
        node.forward()
        network.link(node, "eth0", switch, f"s{number}")
        switch.ip(f"link set s{number} master br0\n")
        node.ip(f"address add 10.77.0.{number}/24 dev eth0\n")
        pod = add_pod(network, node, name, f"10.77.{number}.2")
        ends.append((Node(host=node, address=f"10.77.0.{number}", uplink="eth0"), pod))
    (one, client), (other, server) = ends
    one.host.ip(f"route add {server.address}/32 via {other.address}\n")
    other.host.ip(f"route add {client.address}/32 via {one.address}\n")
    return (one, client), (other, server)
