"""Addresses of Services: which one a Service gets, and which it may ask for.

Pure. The choice follows from the Service's name, so a cluster that is built anew from the same manifests gets the same
addresses; where two names meet, the later one takes the next free address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from ipaddress import ip_address

from mesh.model import Address, Prefix

_KEPT_FREE = 16
"""The lowest addresses are left to those who ask for one by number, such as cluster DNS (10.96.0.10)."""


def choose(key: str, cidr: Prefix, taken: Mapping[Address, str]) -> Address | None:
    """A free address of the range for the Service `key`; None where there is none left."""
    first = _KEPT_FREE if cidr.num_addresses > 4 * _KEPT_FREE else 1
    # The last address of an IPv4 range would be taken for a broadcast by some tools.
    room = cidr.num_addresses - first - 1
    start = int.from_bytes(sha256(key.encode()).digest()[:8], "big") % room
    base = int(cidr.network_address) + first
    for step in range(min(room, len(taken) + 1)):
        candidate = _address(cidr, base + (start + step) % room)
        if candidate not in taken:
            return candidate
    return None


def objection(key: str, address: Address, taken: Mapping[Address, str]) -> str | None:
    """Why the Service `key` may not have the address that it asks for."""
    if address.is_unspecified or address.is_multicast or address.is_loopback or address.is_link_local:
        return f"{address} cannot be the address of a Service"
    owner = taken.get(address, key)
    return None if owner == key else f"{address} is the address of Service {owner} already"


def taken_by(services: Iterable[tuple[str, Iterable[Address]]]) -> dict[Address, str]:
    """Address -> key of the Service that has it."""
    return {address: key for key, addresses in services for address in addresses}


def _address(cidr: Prefix, number: int) -> Address:
    return ip_address(number.to_bytes(cidr.max_prefixlen // 8, "big"))
