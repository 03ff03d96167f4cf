"""What is known of an accepted connection before its first byte, and the two shapes in which the edge plugs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """The kernel's redirect record, with the addresses that accept() showed."""

    source_ip: str
    source_port: int
    destination_ip: str
    destination_port: int
    source_identity: int
    destination_identity: int
    source_endpoint: int = 0
    """Number of the pod on this node, 0 where it is not of this node."""
    destination_endpoint: int = 0
    egress: bool = False
    """The source is a pod of this node: its egress policy is to be enforced here."""
    ingress: bool = False
    """The destination is a pod of this node: its ingress policy is to be enforced here."""
    service: int = 0

    @property
    def authority(self) -> bytes:
        """The destination as a Host field would name it."""
        host = f"[{self.destination_ip}]" if ":" in self.destination_ip else self.destination_ip
        return f"{host}:{self.destination_port}".encode()

    @property
    def pool_key(self) -> tuple[str | int, ...]:
        """Connections to the upstream may be used again for whoever has the same."""
        return (
            self.source_ip,
            self.source_endpoint,
            self.source_identity,
            self.destination_ip,
            self.destination_port,
        )


class Pipe(Protocol):
    """One side of a connection, as the core uses it. An asyncio transport is one."""

    def write(self, data: bytes) -> None: ...
    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def get_write_buffer_size(self) -> int: ...
    def get_extra_info(self, name: str) -> Any: ...
