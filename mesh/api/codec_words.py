"""The small words of the messages: addresses, prefixes, numbers, enum values, labels.

Readers refuse what does not belong, with the name of the field; they never repair or guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeVar

from mesh.api import mesh_pb2 as pb
from mesh.model import Address, IdentityId, Prefix, Protocol

E = TypeVar("E", bound=Enum)


class CodecError(ValueError):
    """A message that must not be acted on. The text is `message.field: reason`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def address_to_pb(address: Address) -> bytes:
    return address.packed


def address_from_pb(data: bytes, field: str) -> Address:
    if len(data) == 4:
        return IPv4Address(data)
    if len(data) != 16:
        raise CodecError(field, f"an address has 4 or 16 bytes, not {len(data)}")
    address = IPv6Address(data)
    if address.ipv4_mapped is not None:
        raise CodecError(field, f"{address.ipv4_mapped} is written as IPv6; IPv4 addresses have 4 bytes")
    return address


def prefix_to_pb(prefix: Prefix) -> pb.Prefix:
    return pb.Prefix(address=prefix.network_address.packed, bits=prefix.prefixlen)


def prefix_from_pb(message: pb.Prefix, field: str) -> Prefix:
    data, bits = message.address, message.bits
    if len(data) not in (4, 16):
        raise CodecError(f"{field}.address", f"an address has 4 or 16 bytes, not {len(data)}")
    if bits > 8 * len(data):
        raise CodecError(f"{field}.bits", f"{bits} is more than {8 * len(data)}")
    try:
        return IPv4Network((data, bits)) if len(data) == 4 else IPv6Network((data, bits))
    except ValueError:
        raise CodecError(field, f"{data.hex()}/{bits} has bits set behind its length") from None


def identity_id_from_pb(number: int) -> IdentityId:
    # uint32 on the wire: protobuf has checked the range.
    return IdentityId(number)


def protocol_from_pb(number: int, field: str, *, wildcard: bool = False) -> Protocol:
    try:
        protocol = Protocol(number)
    except ValueError:
        raise CodecError(field, f"protocol {number} is not known") from None
    if protocol is Protocol.ANY and not wildcard:
        raise CodecError(field, "any protocol cannot stand here")
    return protocol


def port_from_pb(number: int, field: str, *, zero: bool = False) -> int:
    if number > 65535 or (number == 0 and not zero):
        raise CodecError(field, f"{number} is not a port")
    return number


def word_from_pb(kind: type[E], text: str, field: str) -> E:
    """An enum value by its text."""
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(str(item.value) for item in kind)
        raise CodecError(field, f"{text[:40]!r} is not known (known: {known})") from None


def name_from_pb(text: str, field: str) -> str:
    """A name that must be there. What a name may look like was checked where objects came in."""
    if not text or len(text) > 253 or "/" in text or "\x00" in text:
        raise CodecError(field, f"{text[:60]!r} is not a name")
    return text


def labels_to_pb(labels: Iterable[tuple[str, str]]) -> list[pb.Label]:
    return [pb.Label(key=key, value=value) for key, value in labels]


def labels_from_pb(messages: Iterable[pb.Label], field: str) -> tuple[tuple[str, str], ...]:
    """Sorted pairs; a key that comes twice is refused."""
    pairs = sorted((message.key, message.value) for message in messages)
    for (key, _), (following, _) in zip(pairs, pairs[1:], strict=False):
        if key == following:
            raise CodecError(field, f"label {key!r} comes twice")
    return tuple(pairs)
