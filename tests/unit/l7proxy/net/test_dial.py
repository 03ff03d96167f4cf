from __future__ import annotations

import asyncio
import socket

import pytest

from l7proxy.net.dial import TransparentDialer, reset_on_close


async def seen_by_server(address: str, family: socket.AddressFamily) -> tuple[str, int]:
    listening = socket.create_server((address, 0), family=family)
    listening.setblocking(False)
    loop = asyncio.get_running_loop()
    # Another address of loopback than the one that connect() would choose: only IP_TRANSPARENT or a local one can bind.
    source = "127.9.9.9" if family == socket.AF_INET else "::1"
    made = await TransparentDialer(0x20).dial(source, address, listening.getsockname()[1])
    try:
        accepted, peer = await loop.sock_accept(listening)
        accepted.close()
        return str(peer[0]), made.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
    finally:
        made.close()
        listening.close()


@pytest.mark.parametrize(
    ("address", "family", "seen"),
    [
        ("127.0.0.1", socket.AF_INET, "127.9.9.9"),
        ("::1", socket.AF_INET6, "::1"),
    ],
)
def test_the_clients_address_and_the_mark_are_on_the_socket(
    address: str, family: socket.AddressFamily, seen: str
) -> None:
    assert asyncio.run(seen_by_server(address, family)) == (seen, 0x20)


def test_refused_connection_leaves_no_socket_open() -> None:
    with socket.socket() as deaf:  # keeps the port from everybody else, and does not listen
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(TransparentDialer(0x20).dial("127.0.0.1", "127.0.0.1", deaf.getsockname()[1]))


def test_reset_on_close_is_seen_as_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        reset_on_close(accepted)
        accepted.close()
        with client, pytest.raises(ConnectionResetError):
            client.recv(1)


def test_reset_of_a_closed_socket_is_no_error() -> None:
    made = socket.socket()
    made.close()
    reset_on_close(made)
