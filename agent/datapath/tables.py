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
class PolicyKey(_Plain):
    set: int
    identity: int
    direction: int
    page: int = 0

    LAYOUT: ClassVar[type[Any]] = layouts.PolicyKey
    NUMBERS: ClassVar[tuple[str, ...]] = ("set", "identity", "page", "direction")


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """What holds from a protocol's port on, until the next step."""

    protocol: int
    port: int
    flags: int
    rules: int = 0
    """With POLICY_MORE among the flags: the page that goes on from here."""

    def fields(self) -> dict[str, object]:
        said: dict[str, object] = {"protocol": self.protocol, "port": self.port, "flags": self.flags}
        return said | {"page" if self.flags & layouts.POLICY_MORE else "rules": self.rules}


_PAGE = struct.Struct(f"={2 * layouts.POLICY_STEPS}I")


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """Kept as the kernel has it, since the agent holds very many."""

    raw: bytes

    LAYOUT: ClassVar[type[Any]] = layouts.PolicyPage

    @classmethod
    def of(cls, *steps: PolicyStep) -> PolicyPage:
        """Steps in the order of protocol and port."""
        begin = [step.protocol << 24 | step.port << 8 | step.flags for step in steps]
        room = layouts.POLICY_STEPS - len(steps)
        numbers = [*begin, *[layouts.POLICY_NO_STEP] * room, *[step.rules for step in steps], *[0] * room]
        return cls(_PAGE.pack(*numbers))

    @property
    def steps(self) -> tuple[PolicyStep, ...]:
        numbers = _PAGE.unpack(self.raw)
        held = zip(numbers[: layouts.POLICY_STEPS], numbers[layouts.POLICY_STEPS :], strict=True)
        return tuple(
            PolicyStep(begin >> 24, begin >> 8 & 0xFFFF, begin & 0xFF, rules)
            for begin, rules in held
            if begin != layouts.POLICY_NO_STEP
        )

    def pack(self) -> bytes:
        return self.raw

    @classmethod
    def unpack(cls, raw: bytes) -> PolicyPage:
        return cls(raw)

    def fields(self) -> dict[str, object]:
        """As people read it."""
        return {"steps": [step.fields() for step in self.steps]}


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
