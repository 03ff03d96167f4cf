"""The wires of a lab, by rtnetlink: bridge, uplinks, pods' veths and routes. The only home of pyroute2 here.

All work runs on one thread that moves between namespaces (`Wires.run`); nothing is ever made in the caller's
namespace, not even for a moment. A node's uplink is `eth0`, a pod's only link is `eth0`, the node's end of a pod's
veth is `LabNames.pod_link`. Neighbours on the veth are permanent on both ends, so no address is ever waited for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab import netns
from lab.addressing import (
    CONTROLLER4,
    CONTROLLER6,
    FABRIC4,
    FABRIC6,
    POD_GATEWAY4,
    POD_GATEWAY6,
    WORLD4,
    WORLD6,
    NodeAddresses,
    mac,
)
from lab.names import LabNames
from mesh.model import Address

T = TypeVar("T")

UPLINK = "eth0"
IFA_F_NODAD = 0x02
"""linux/if_addr.h"""
_LOOPBACK = 1
_SCOPE_LINK = 253

_PLAIN_SYSCTLS = {
    # addresses are ours and unique: waiting for duplicate detection would cost a second per link
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv4/ping_group_range": "0 2147483647",
}
_ROUTER_SYSCTLS = {
    **_PLAIN_SYSCTLS,
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
}


class WiringFailed(RuntimeError):
    """The kernel refused a link, an address or a route."""


@contextmanager
def _netlink(name: str) -> Iterator[IPRoute]:
    with netns.inside(name):
        link = IPRoute()
    try:
        yield link
    except NetlinkError as error:
        raise WiringFailed(f"network namespace {name}: {error}") from error
    finally:
        link.close()


def _index(link: IPRoute, name: str) -> int:
    found = link.link_lookup(ifname=name)
    if not found:
        raise WiringFailed(f"link {name} is not there")
    return int(found[0])


def _address(link: IPRoute, index: int, address: Address, bits: int) -> None:
    # without the flag an IPv6 address is tentative for a moment, and no route may name it as its source
    link.addr("add", index=index, address=str(address), prefixlen=bits, flags=IFA_F_NODAD)


def _host_route(link: IPRoute, address: Address, **how: Any) -> None:
    link.route("replace", dst=f"{address}/{address.max_prefixlen}", **how)


class Wires:
    """All links of one lab. Methods with `_` in front run on the lab's own network thread."""

    def __init__(self, names: LabNames) -> None:
        self._names = names
        self._nodes: dict[str, NodeAddresses] = {}
        self._pods: dict[str, tuple[str, tuple[Address, ...]]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lab-net")

    async def run(self, task: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(task, *args, **kwargs))

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    # -- what the supervisor asks for --------------------------------------------------------------------------

    async def add_fabric(self) -> None:
        await self.run(self._add_fabric)

    async def add_node(self, node: str, addresses: NodeAddresses) -> None:
        await self.run(self._add_node, node, addresses)

    async def add_pod(self, key: str, node: str, addresses: tuple[Address, ...]) -> None:
        await self.run(self._add_pod, key, node, addresses)

    async def remove_pod(self, key: str) -> None:
        await self.run(self._remove_pod, key)

    async def remove_node(self, node: str) -> None:
        await self.run(self._remove_node, node)

    # -- on the network thread ---------------------------------------------------------------------------------

    def _add_fabric(self) -> None:
        names = self._names
        netns.create(names.fabric, _PLAIN_SYSCTLS)
        netns.create(names.world, _PLAIN_SYSCTLS)
        with _netlink(names.fabric) as fabric:
            fabric.link("set", index=_LOOPBACK, state="up")
            fabric.link("add", ifname="br0", kind="bridge", br_stp_state=0, br_mcast_snooping=0, address=mac("br0"))
            bridge = _index(fabric, "br0")
            fabric.link("set", index=bridge, state="up")
            _address(fabric, bridge, CONTROLLER4, FABRIC4.prefixlen)
            _address(fabric, bridge, CONTROLLER6, FABRIC6.prefixlen)
            fabric.route("add", dst=f"{WORLD4}/32", oif=bridge, scope=_SCOPE_LINK)
            fabric.route("add", dst=f"{WORLD6}/128", oif=bridge)
            self._port(fabric, bridge, "world", names.world)
        with _netlink(names.world) as world:
            uplink = self._uplink_up(world)
            _address(world, uplink, WORLD4, 24)
            _address(world, uplink, WORLD6, 64)
            world.route("add", dst=str(FABRIC4), oif=uplink, scope=_SCOPE_LINK, prefsrc=str(WORLD4))
            world.route("add", dst=str(FABRIC6), oif=uplink, prefsrc=str(WORLD6))

    def _port(self, fabric: IPRoute, bridge: int, ifname: str, target: str) -> None:
        """A veth from the bridge to `eth0` of another namespace."""
        descriptor = os.open(LabNames.netns_path(target), os.O_RDONLY | os.O_CLOEXEC)
        try:
            peer = {"ifname": UPLINK, "net_ns_fd": descriptor, "address": mac(target)}
            fabric.link("add", ifname=ifname, kind="veth", address=mac(f"{target} port"), peer=peer)
        finally:
            os.close(descriptor)
        fabric.link("set", index=_index(fabric, ifname), state="up", master=bridge)

    @staticmethod
    def _uplink_up(link: IPRoute) -> int:
        link.link("set", index=_LOOPBACK, state="up")
        uplink = _index(link, UPLINK)
        link.link("set", index=uplink, state="up")
        return uplink

    def _add_node(self, node: str, addresses: NodeAddresses) -> None:
        names = self._names
        netns.create(names.node(node), _ROUTER_SYSCTLS)
        with _netlink(names.fabric) as fabric:
            bridge = _index(fabric, "br0")
            self._port(fabric, bridge, names.port_link(node), names.node(node))
            for address in addresses.both:  # an address outside the fabric's range is on the link all the same
                _host_route(fabric, address, oif=bridge)
        with _netlink(names.node(node)) as link:
            uplink = self._uplink_up(link)
            v4, v6 = map(str, addresses.both)
            for own in addresses.both:
                _address(link, uplink, own, own.max_prefixlen)
            for there in (CONTROLLER4, WORLD4):
                _host_route(link, there, oif=uplink, scope=_SCOPE_LINK, prefsrc=v4)
            for there6 in (CONTROLLER6, WORLD6):
                _host_route(link, there6, oif=uplink, prefsrc=v6)
            link.route("add", dst="0.0.0.0/0", gateway=str(WORLD4), oif=uplink, prefsrc=v4)
            link.route("add", dst="::/0", gateway=str(WORLD6), oif=uplink, prefsrc=v6)
            for other in self._nodes.values():
                self._route_node(link, uplink, other, addresses)
            for pod_node, pod_addresses in self._pods.values():
                self._route_pod(link, uplink, self._nodes[pod_node], pod_addresses)
        for name, other in self._nodes.items():
            with _netlink(names.node(name)) as link:
                self._route_node(link, _index(link, UPLINK), addresses, other)
        with _netlink(names.world) as world:
            self._route_node(world, _index(world, UPLINK), addresses, None)
        self._nodes[node] = addresses

    @staticmethod
    def _route_node(link: IPRoute, uplink: int, there: NodeAddresses, here: NodeAddresses | None) -> None:
        v4, v6 = here.both if here else (WORLD4, WORLD6)
        _host_route(link, there.v4, oif=uplink, scope=_SCOPE_LINK, prefsrc=str(v4))
        _host_route(link, there.v6, oif=uplink, prefsrc=str(v6))

    @staticmethod
    def _route_pod(link: IPRoute, uplink: int, via: NodeAddresses, addresses: tuple[Address, ...]) -> None:
        for address in addresses:
            gateway = via.v4 if address.version == 4 else via.v6
            _host_route(link, address, gateway=str(gateway), oif=uplink)

    def _add_pod(self, key: str, node: str, addresses: tuple[Address, ...]) -> None:
        names, here = self._names, self._nodes[node]
        namespace, _, name = key.partition("/")
        pod_ns, ifname = names.pod(namespace, name), names.pod_link(namespace, name)
        pod_mac, node_mac = mac(f"{key} pod"), mac(f"{key} node")
        netns.create(pod_ns, _PLAIN_SYSCTLS)
        self._pods[key] = (node, addresses)
        with _netlink(names.node(node)) as link:
            descriptor = os.open(LabNames.netns_path(pod_ns), os.O_RDONLY | os.O_CLOEXEC)
            try:
                peer = {"ifname": UPLINK, "net_ns_fd": descriptor, "address": pod_mac}
                link.link("add", ifname=ifname, kind="veth", address=node_mac, peer=peer)
            finally:
                os.close(descriptor)
            index = _index(link, ifname)
            link.link("set", index=index, state="up")
            _address(link, index, POD_GATEWAY6, 64)
            self._wire_inside(pod_ns, addresses, node_mac)
            for address in addresses:
                source = here.v4 if address.version == 4 else here.v6
                scope = {"scope": _SCOPE_LINK} if address.version == 4 else {}
                link.neigh("replace", dst=str(address), lladdr=pod_mac, ifindex=index, state="permanent")
                _host_route(link, address, oif=index, prefsrc=str(source), **scope)
        for other in (*(names.node(name) for name in self._nodes if name != node), names.world):
            with _netlink(other) as link:
                self._route_pod(link, _index(link, UPLINK), here, addresses)

    @staticmethod
    def _wire_inside(pod_ns: str, addresses: Collection[Address], node_mac: str) -> None:
        with _netlink(pod_ns) as pod:
            uplink = Wires._uplink_up(pod)
            for address in addresses:
                _address(pod, uplink, address, address.max_prefixlen)
            for version, gateway, default in ((4, POD_GATEWAY4, "0.0.0.0/0"), (6, POD_GATEWAY6, "::/0")):
                if any(address.version == version for address in addresses):
                    pod.neigh("replace", dst=str(gateway), lladdr=node_mac, ifindex=uplink, state="permanent")
                    pod.route("add", dst=default, gateway=str(gateway), oif=uplink, flags=["onlink"])

    def _remove_pod(self, key: str) -> None:
        node, addresses = self._pods.pop(key, (None, ()))
        namespace, _, name = key.partition("/")
        for other in (*(self._names.node(other) for other in self._nodes if other != node), self._names.world):
            with _netlink(other) as link:
                for address in addresses:
                    _drop_route(link, address)
        if node in self._nodes:
            with _netlink(self._names.node(str(node))) as link:
                for index in link.link_lookup(ifname=self._names.pod_link(namespace, name)):
                    link.link("del", index=index)  # now, not when the kernel gets to the empty namespace
        netns.remove(self._names.pod(namespace, name))

    def _remove_node(self, node: str) -> None:
        gone = self._nodes.pop(node, None)
        if gone is None:
            return
        for other in (*(self._names.node(name) for name in self._nodes), self._names.world, self._names.fabric):
            with _netlink(other) as link:
                for address in gone.both:
                    _drop_route(link, address)
        netns.remove(self._names.node(node))


def _drop_route(link: IPRoute, address: Address) -> None:
    try:
        link.route("del", dst=f"{address}/{address.max_prefixlen}")
    except NetlinkError as error:
        if error.code != 3:  # ESRCH: it is not there
            raise
