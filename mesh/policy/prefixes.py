"""Sets of address prefixes: which of them contain an address, and which is the longest."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Generic, TypeVar

from mesh.model import Address, Prefix

V = TypeVar("V")

_WIDTH = {4: 32, 6: 128}


def host_prefix(address: Address) -> Prefix:
    """The /32 or /128 of one address."""
    return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)


def contains(wide: Prefix, narrow: Prefix) -> bool:
    """Whether every address of `narrow` lies in `wide`."""
    if isinstance(wide, IPv4Network) and isinstance(narrow, IPv4Network):
        return narrow.subnet_of(wide)
    if isinstance(wide, IPv6Network) and isinstance(narrow, IPv6Network):
        return narrow.subnet_of(wide)
    return False


class PrefixTable(Generic[V]):
    """Prefixes and what stands behind them; a lookup costs one dictionary access per length in use."""

    def __init__(self, entries: Mapping[Prefix, V]) -> None:
        tables: dict[tuple[int, int], dict[int, tuple[Prefix, V]]] = {}
        for prefix, value in entries.items():
            table = tables.setdefault((prefix.version, prefix.prefixlen), {})
            table[self._bits(int(prefix.network_address), prefix.version, prefix.prefixlen)] = (prefix, value)
        self._by_version = {
            version: [(length, tables[version, length]) for at, length in sorted(tables, reverse=True) if at == version]
            for version in (4, 6)
        }

    @staticmethod
    def _bits(number: int, version: int, length: int) -> int:
        return number >> (_WIDTH[version] - length)

    def longest(self, address: Address) -> V | None:
        number = int(address)
        for length, table in self._by_version[address.version]:
            found = table.get(self._bits(number, address.version, length))
            if found is not None:
                return found[1]
        return None

    def containing(self, address: Address) -> frozenset[Prefix]:
        number = int(address)
        return frozenset(
            found[0]
            for length, table in self._by_version[address.version]
            if (found := table.get(self._bits(number, address.version, length))) is not None
        )

    def supernets(self, of: Prefix) -> frozenset[Prefix]:
        """Those that contain all of `of`; itself included."""
        return frozenset(found for found in self.containing(of.network_address) if found.prefixlen <= of.prefixlen)
