"""Starts and stops the controller's servers: agents (mutual TLS), joins (TLS), admin (unix socket)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc.aio

from controller.config import Listen
from controller.errors import ControllerError
from controller.server_admin import AdminParts, AdminService
from controller.server_mesh import JoinService, MeshParts, MeshService
from controller.server_tls import ServerCertificate
from mesh.api import mesh_pb2_grpc

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 64 << 20
LARGEST_JOIN = 64 << 10
JOINS_AT_ONCE = 64
LONGEST_SOCKET_PATH = 100
"""Linux takes 107 bytes; gRPC adds a few of its own."""

_KEEPALIVE = [
    # An agent that vanished without a word is noticed within 15 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
]
# Without it a second controller would share the port silently.
_EXCLUSIVE = [("grpc.so_reuseport", 0)]


def _sized(largest: int) -> list[tuple[str, int]]:
    return [("grpc.max_receive_message_length", largest), ("grpc.max_send_message_length", LARGEST_MESSAGE)]


class Servers:
    """All three, once started."""

    def __init__(self) -> None:
        self._running: list[grpc.aio.Server] = []
        self._admin_socket: Path | None = None
        self.sync_port = 0
        self.join_port = 0

    async def start_mesh(
        self, parts: MeshParts, listen: Listen, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Serve agents. Raises ControllerError where a port cannot be had."""
        certificate = ServerCertificate(parts.authority, [listen.host], now)
        sync = grpc.aio.server(options=[*_KEEPALIVE, *_EXCLUSIVE, *_sized(LARGEST_MESSAGE)])
        mesh_pb2_grpc.add_MeshServicer_to_server(MeshService(parts), sync)  # type: ignore[no-untyped-call] # generated
        self.sync_port = _bound(sync, listen, certificate.credentials(client_certificates=True))
        join = grpc.aio.server(options=[*_EXCLUSIVE, *_sized(LARGEST_JOIN)], maximum_concurrent_rpcs=JOINS_AT_ONCE)
        mesh_pb2_grpc.add_MeshServicer_to_server(JoinService(parts), join)  # type: ignore[no-untyped-call] # generated
        self.join_port = _bound(join, listen.next(), certificate.credentials(client_certificates=False))
        for server in (sync, join):
            await server.start()
            self._running.append(server)

    async def start_admin(self, parts: AdminParts, path: Path) -> None:
        """Serve the command line on a socket that its owner alone may open."""
        _make_room(path)
        server = grpc.aio.server(options=_sized(LARGEST_MESSAGE))
        mesh_pb2_grpc.add_AdminServicer_to_server(AdminService(parts), server)  # type: ignore[no-untyped-call] # generated
        before = os.umask(0o177)
        try:
            server.add_insecure_port(f"unix:{path}")
        except RuntimeError as error:
            raise ControllerError(f"--admin-socket {path}: cannot listen there ({error})") from error
        finally:
            os.umask(before)
        path.chmod(0o600)
        await server.start()
        self._running.append(server)
        self._admin_socket = path

    async def stop(self, grace_s: float) -> None:
        """No new calls; those that run have `grace_s` to end."""
        await asyncio.gather(*(server.stop(grace_s) for server in self._running))
        if self._admin_socket is not None:
            self._admin_socket.unlink(missing_ok=True)


def _bound(server: grpc.aio.Server, listen: Listen, credentials: grpc.ServerCredentials) -> int:
    try:
        port = server.add_secure_port(str(listen), credentials)
    except RuntimeError as error:
        raise ControllerError(f"cannot listen on {listen} ({error}); is another controller running?") from error
    if port == 0:
        raise ControllerError(f"cannot listen on {listen}; is another controller running?")
    return port


def _make_room(path: Path) -> None:
    """The folder for the socket, and the socket of a controller that died removed."""
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ControllerError(f"--admin-socket {path}: longer than {LONGEST_SOCKET_PATH} bytes; choose a shorter one")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            return
        if not path.is_socket():
            raise ControllerError(f"--admin-socket {path}: there is a file of that name; remove it")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(str(path)) == 0:
                raise ControllerError(f"--admin-socket {path}: another controller answers there; stop it")
        path.unlink()
    except OSError as error:
        raise ControllerError(f"--admin-socket {path}: {error.strerror}") from error
