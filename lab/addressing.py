"""Which address everything in a lab has. Pure: the same input gives the same plan.

The fabric (the network between nodes) and the world are the lab's own; pods' ranges are the Nodes' podCIDRs, and
where a Node has none it gets 10.244.N.0/24 and fd00:10:244:N::/64. A pod's address may lie anywhere: every node
routes it by /32 and /128, so an address that a manifest gives is taken as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from mesh.model import Address, Prefix

FABRIC4 = IPv4Network("172.30.0.0/16")
FABRIC6 = IPv6Network("fd00:30::/64")
CONTROLLER4 = FABRIC4[1]
CONTROLLER6 = FABRIC6[1]
_FIRST_NODE = 10

WORLD4 = IPv4Address("192.0.2.2")
WORLD6 = IPv6Address("2001:db8::2")

POD_GATEWAY4 = IPv4Address("169.254.1.1")
POD_GATEWAY6 = IPv6Address("fe80::1")

DNS4 = IPv4Address("10.96.0.10")
DNS6 = IPv6Address("fd00:10:96::a")

_PODS4 = IPv4Network("10.244.0.0/16")
_PODS6 = IPv6Network("fd00:10:244::/48")


class NoAddressLeft(RuntimeError):
    """A Node's podCIDRs are used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAddresses:
    """One node's place on the fabric and the ranges of its pods."""

    v4: IPv4Address
    v6: IPv6Address
    pod_cidrs: tuple[Prefix, ...]

    @property
    def both(self) -> tuple[Address, Address]:
        return self.v4, self.v6


def plan_node(
    given: Iterable[Address], pod_cidrs: tuple[Prefix, ...], others: Collection[NodeAddresses]
) -> NodeAddresses:
    """Addresses of one more node: what its manifest gives, the rest from the first numbers that are free."""
    taken = {address for node in others for address in node.both}
    ranges = [prefix for node in others for prefix in node.pod_cidrs]
    v4: IPv4Address | None = None
    v6: IPv6Address | None = None
    for address in given:
        if isinstance(address, IPv4Address):
            v4 = v4 or address
        else:
            v6 = v6 or address
    number = 0
    while FABRIC4[_FIRST_NODE + number] in taken or FABRIC6[_FIRST_NODE + number] in taken:
        number += 1
    if not pod_cidrs:
        choices = map(_default_cidrs, range(256))
        pod_cidrs = next(pair for pair in choices if not any(_overlaps(new, old) for new in pair for old in ranges))
    return NodeAddresses(
        v4=v4 or FABRIC4[_FIRST_NODE + number], v6=v6 or FABRIC6[_FIRST_NODE + number], pod_cidrs=pod_cidrs
    )


def _default_cidrs(index: int) -> tuple[Prefix, ...]:
    v4 = IPv4Network((int(_PODS4.network_address) + (index << 8), 24))
    # the group is written with the same decimal digits as the third byte of the IPv4 range, for people
    v6 = IPv6Network((int(_PODS6.network_address) + (int(str(index), 16) << 64), 64))
    return v4, v6


def _overlaps(one: Prefix, other: Prefix) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def allocate(pod_cidrs: Iterable[Prefix], taken: Collection[Address]) -> tuple[Address, ...]:
    """One free address per family, the first family first. The first address of a range is left to the node."""
    chosen: list[Address] = []
    for cidr in pod_cidrs:
        if any(address.version == cidr.version for address in chosen):
            continue
        last = int(cidr.broadcast_address) - (1 if cidr.version == 4 and cidr.prefixlen < 31 else 0)
        number = int(cidr.network_address) + 2
        while number <= last:
            address = IPv4Address(number) if cidr.version == 4 else IPv6Address(number)
            if address not in taken:
                chosen.append(address)
                break
            number += 1
    if not chosen:
        raise NoAddressLeft(f"no address left in {', '.join(map(str, pod_cidrs))}: give the Node larger podCIDRs")
    return tuple(chosen)


def parse_addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    return tuple(ip_address(text) for text in texts if text)


def mac(seed: str) -> str:
    """A stable, locally administered hardware address."""
    digest = sha256(seed.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))
