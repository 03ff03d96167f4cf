"""Keys and values of the maps as frozen types with host values: the border where bytes turn.

`pack` and `unpack` of each type go through the generated ctypes of `mesh.layouts`; nothing else in Python knows the
order of a map's bytes. Addresses are 16 bytes there (IPv4 as ::ffff:a.b.c.d) and `ipaddress` objects here. Long because
each struct of layouts.h has its type here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Any, ClassVar, Protocol, Self

from mesh import layouts
from mesh.model import Address, Prefix

_MAPPED = bytes(10) + b"\xff\xff"
_NOTHING = bytes(16)


def address_bytes(address: Address) -> bytes:
    """The 16 bytes that stand for an address in every map."""
    return address.packed if isinstance(address, IPv6Address) else _MAPPED + address.packed


def address_of(raw: Any) -> Address:
    """Turn 16 bytes of a map back into an address."""
    octets = bytes(raw)
    return IPv4Address(octets[12:]) if octets[:12] == _MAPPED else IPv6Address(octets)


class Packed(Protocol):
    """What a table needs of its keys and values."""

    LAYOUT: ClassVar[type[Any]]

    def pack(self) -> bytes: ...
    @classmethod
    def unpack(cls, raw: bytes) -> Self: ...


class _Plain:
    """Pack and unpack of types whose fields are the struct's own, host numbers all of them."""

    __slots__ = ()
    LAYOUT: ClassVar[type[Any]]
    ADDRESSES: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(field here, field of the struct) for those that are addresses."""
    NUMBERS: ClassVar[tuple[str, ...]] = ()

    def pack(self) -> bytes:
        raw = self.LAYOUT()
        for name in self.NUMBERS:
            setattr(raw, name, getattr(self, name))
        for name, field in self.ADDRESSES:
            address = getattr(self, name)
            getattr(raw, field)[:] = _NOTHING if address is None else address_bytes(address)
        return bytes(raw)

    @classmethod
    def unpack(cls, raw: bytes) -> Self:
        fields = cls.LAYOUT.from_buffer_copy(raw)
        values: dict[str, Any] = {name: getattr(fields, name) for name in cls.NUMBERS}
        values.update((name, address_of(getattr(fields, field))) for name, field in cls.ADDRESSES)
        return cls(**values)


@dataclass(frozen=True, slots=True)
class IpcacheKey:
    prefix: Prefix

    LAYOUT: ClassVar[type[Any]] = layouts.IpcacheKey

    def pack(self) -> bytes:
        bits = self.prefix.prefixlen + (0 if isinstance(self.prefix, IPv6Network) else 96)
        return struct.pack("=I", bits) + address_bytes(self.prefix.network_address)

    @classmethod
    def unpack(cls, raw: bytes) -> IpcacheKey:
        (bits,) = struct.unpack_from("=I", raw)
        address = address_of(raw[4:20])
        if isinstance(address, IPv4Address) and bits >= 96:
            return cls(ip_network((address, bits - 96)))
        return cls(IPv6Network((raw[4:20], bits)))


@dataclass(frozen=True, slots=True)
class IpcacheEntry(_Plain):
    identity: int
    flags: int = 0
    ifindex: int = 0

    LAYOUT: ClassVar[type[Any]] = layouts.IpcacheEntry
    NUMBERS: ClassVar[tuple[str, ...]] = ("identity", "flags", "ifindex")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointEntry(_Plain):
    ifindex: int
    policy_set: int
    epoch: int
    flags: int
    identity4: int
    identity6: int
    addr4: Address | None
    addr6: Address | None
    netns_cookie: int

    LAYOUT: ClassVar[type[Any]] = layouts.EndpointEntry
    ADDRESSES: ClassVar[tuple[tuple[str, str], ...]] = (("addr4", "addr4"), ("addr6", "addr6"))
    NUMBERS: ClassVar[tuple[str, ...]] = (
        "ifindex",
        "policy_set",
        "epoch",
        "flags",
        "identity4",
        "identity6",
        "netns_cookie",
    )

    @classmethod
    def unpack(cls, raw: bytes) -> EndpointEntry:
        fields = layouts.EndpointEntry.from_buffer_copy(raw)
        values: dict[str, Any] = {name: getattr(fields, name) for name in cls.NUMBERS}
        has4, has6 = fields.flags & layouts.ENDPOINT_HAS_V4, fields.flags & layouts.ENDPOINT_HAS_V6
        return cls(
            addr4=address_of(fields.addr4) if has4 else None, addr6=address_of(fields.addr6) if has6 else None, **values
        )


@dataclass(frozen=True, slots=True)
class AddressKey(_Plain):
    address: Address

    LAYOUT: ClassVar[type[Any]] = layouts.AddrKey
    ADDRESSES: ClassVar[tuple[tuple[str, str], ...]] = (("address", "addr"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyKey:
    set: int
    identity: int
    direction: int
    protocol: int = 0
    port: int = 0
    port_bits: int | None = None
    """Leading bits of the port that count, 0 to 16; None: protocol and port are wild."""

    LAYOUT: ClassVar[type[Any]] = layouts.PolicyKey

    def pack(self) -> bytes:
        bits = layouts.POLICY_BITS_IDENTITY if self.port_bits is None else layouts.POLICY_BITS_PROTOCOL + self.port_bits
        start = struct.pack("=IIIBB", bits, self.set, self.identity, self.direction, self.protocol)
        return start + self.port.to_bytes(2, "big")

    @classmethod
    def unpack(cls, raw: bytes) -> PolicyKey:
        bits, number, identity, direction, protocol = struct.unpack_from("=IIIBB", raw)
        return cls(
            set=number,
            identity=identity,
            direction=direction,
            protocol=protocol,
            port=int.from_bytes(raw[14:16], "big"),
            port_bits=None if bits == layouts.POLICY_BITS_IDENTITY else bits - layouts.POLICY_BITS_PROTOCOL,
        )


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    flags: int
    rules: int

    LAYOUT: ClassVar[type[Any]] = layouts.PolicyEntry

    def pack(self) -> bytes:
        return struct.pack("=II", self.flags, self.rules)

    @classmethod
    def unpack(cls, raw: bytes) -> PolicyEntry:
        return cls(*struct.unpack("=II", raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class CtKey(_Plain):
    endpoint: int
    direction: int
    protocol: int
    source: Address
    destination: Address
    sport: int
    dport: int

    LAYOUT: ClassVar[type[Any]] = layouts.CtKey
    ADDRESSES: ClassVar[tuple[tuple[str, str], ...]] = (("source", "saddr"), ("destination", "daddr"))
    NUMBERS: ClassVar[tuple[str, ...]] = ("endpoint", "direction", "protocol", "sport", "dport")


@dataclass(frozen=True, slots=True, kw_only=True)
class CtEntry(_Plain):
    created_ns: int
    expires_ns: int
    packets: int
    bytes: int
    epoch: int
    flags: int
    peer_identity: int
    rules_peer: int
    rules_any: int
    service: int

    LAYOUT: ClassVar[type[Any]] = layouts.CtEntry
    NUMBERS: ClassVar[tuple[str, ...]] = (
        "created_ns",
        "expires_ns",
        "packets",
        "bytes",
        "epoch",
        "flags",
        "peer_identity",
        "rules_peer",
        "rules_any",
        "service",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpent(_Plain):
    allows_ns: int = 0
    denials_ns: int = 0
    redirects_ns: int = 0
    sockets_ns: int = 0
    opened: int = 0
    received: int = 0
    unrecorded: int = 0

    LAYOUT: ClassVar[type[Any]] = layouts.EndpointSpent
    NUMBERS: ClassVar[tuple[str, ...]] = (
        "allows_ns",
        "denials_ns",
        "redirects_ns",
        "sockets_ns",
        "opened",
        "received",
        "unrecorded",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFreed(_Plain):
    opened: int = 0
    received: int = 0

    LAYOUT: ClassVar[type[Any]] = layouts.EndpointFreed
    NUMBERS: ClassVar[tuple[str, ...]] = ("opened", "received")


@dataclass(frozen=True, slots=True)
class ServiceKey(_Plain):
    address: Address
    port: int
    protocol: int

    LAYOUT: ClassVar[type[Any]] = layouts.ServiceKey
    ADDRESSES: ClassVar[tuple[tuple[str, str], ...]] = (("address", "addr"),)
    NUMBERS: ClassVar[tuple[str, ...]] = ("port", "protocol")


@dataclass(frozen=True, slots=True)
class ServiceEntry(_Plain):
    service: int
    backend_base: int
    backend_count: int
    flags: int = 0

    LAYOUT: ClassVar[type[Any]] = layouts.ServiceEntry
    NUMBERS: ClassVar[tuple[str, ...]] = ("service", "backend_base", "backend_count", "flags")


@dataclass(frozen=True, slots=True)
class BackendEntry(_Plain):
    address: Address
    port: int

    LAYOUT: ClassVar[type[Any]] = layouts.BackendEntry
    ADDRESSES: ClassVar[tuple[tuple[str, str], ...]] = (("address", "addr"),)
    NUMBERS: ClassVar[tuple[str, ...]] = ("port",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectKey(_Plain):
    source: Address
    destination: Address
    sport: int
    dport: int

    LAYOUT: ClassVar[type[Any]] = layouts.RedirectKey
    ADDRESSES: ClassVar[tuple[tuple[str, str], ...]] = (("source", "saddr"), ("destination", "daddr"))
    NUMBERS: ClassVar[tuple[str, ...]] = ("sport", "dport")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectRecord(_Plain):
    time_ns: int
    src_identity: int
    dst_identity: int
    src_endpoint: int
    dst_endpoint: int
    src_set: int
    dst_set: int
    src_epoch: int
    dst_epoch: int
    service: int
    flags: int

    LAYOUT: ClassVar[type[Any]] = layouts.RedirectRecord
    NUMBERS: ClassVar[tuple[str, ...]] = (
        "time_ns",
        "src_identity",
        "dst_identity",
        "src_endpoint",
        "dst_endpoint",
        "src_set",
        "dst_set",
        "src_epoch",
        "dst_epoch",
        "service",
        "flags",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig(_Plain):
    flags: int
    mark_mask: int
    mark_to_proxy: int
    mark_from_proxy: int
    mark_own_answer: int
    proxy_port: int
    agent_port: int
    icmp_per_second: int
    tcp_established_s: int
    tcp_opening_s: int
    tcp_closing_s: int
    udp_s: int
    icmp_s: int
    flows_per_pod: int

    LAYOUT: ClassVar[type[Any]] = layouts.NodeConfig
    NUMBERS: ClassVar[tuple[str, ...]] = (
        "flags",
        "mark_mask",
        "mark_to_proxy",
        "mark_from_proxy",
        "mark_own_answer",
        "proxy_port",
        "agent_port",
        "icmp_per_second",
        "tcp_established_s",
        "tcp_opening_s",
        "tcp_closing_s",
        "udp_s",
        "icmp_s",
        "flows_per_pod",
    )


@dataclass(frozen=True, slots=True)
class Counter(_Plain):
    packets: int
    bytes: int

    LAYOUT: ClassVar[type[Any]] = layouts.Counter
    NUMBERS: ClassVar[tuple[str, ...]] = ("packets", "bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEvent(_Plain):
    time_ns: int
    endpoint: int
    peer_endpoint: int
    src_identity: int
    dst_identity: int
    policy_set: int
    rules_peer: int
    rules_any: int
    service: int
    flags: int
    reason: int
    verdict: int
    direction: int
    protocol: int
    tcp_flags: int
    source: Address
    destination: Address
    sport: int
    dport: int
    bytes: int

    LAYOUT: ClassVar[type[Any]] = layouts.FlowEvent
    ADDRESSES: ClassVar[tuple[tuple[str, str], ...]] = (("source", "saddr"), ("destination", "daddr"))
    NUMBERS: ClassVar[tuple[str, ...]] = (
        "time_ns",
        "endpoint",
        "peer_endpoint",
        "src_identity",
        "dst_identity",
        "policy_set",
        "rules_peer",
        "rules_any",
        "service",
        "flags",
        "reason",
        "verdict",
        "direction",
        "protocol",
        "tcp_flags",
        "sport",
        "dport",
        "bytes",
    )
