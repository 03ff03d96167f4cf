"""How much of anything one connection may ask of the proxy. Everything that grows has a number here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    head_bytes: int = 64 << 10
    """Request or response line and all header fields together."""
    header_count: int = 100
    request_line_bytes: int = 8 << 10
    pipelined_bytes: int = 64 << 10
    """Of requests that wait behind the one being answered; above it the client is not read from."""
    trailer_bytes: int = 16 << 10
    chunk_line_bytes: int = 1 << 10
    """Size of a chunk and its extensions."""
    pipe_bytes: int = 256 << 10
    """Bytes that wait for a slow reader before the other side is paused."""
    informational: int = 16
    """1xx answers before the final one."""
    head_s: float = 10.0
    """From the first byte of a request head to its last (slowloris)."""
    idle_s: float = 300.0
    """Between requests."""
    body_s: float = 60.0
    """Without a byte while a request body is being received."""
    connect_s: float = 5.0
    answer_s: float = 300.0
    """Without a byte while a response is expected or being received."""
    linger_s: float = 2.0
    """How long a connection that is being closed is still read from, so that its peer sees the last answer."""
    flush_s: float = 60.0
    """How long a client may take to read the last answer after everything else is over."""
    pool_idle_s: float = 30.0
    """How long an unused upstream connection is kept."""
    pool_per_key: int = 64
    """Unused upstream connections for one client address and destination."""
    upstreams: int = 20_000
    """Upstream connections of one worker above which none is kept for reuse."""
    connections: int = 20_000
    """Client connections of one worker; above it new ones are closed at once and counted."""
    connections_per_client: int = 5_000
    """Of those, for one pod of this node or one address elsewhere: a quarter."""
    connections_per_server: int = 10_000
    """For one pod of this node, from elsewhere: half, since a pod may serve most of what a node is asked."""
    client_bytes: int = 128 << 20
    """That wait for slow readers on all connections of one client; beyond, those that hold most are reset."""
    least_pipe_bytes: int = 16 << 10
    """What `pipe_bytes` shrinks to for a client with very many connections."""
