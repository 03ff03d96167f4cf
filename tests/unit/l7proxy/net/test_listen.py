from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from l7proxy.net import listen
from l7proxy.net.listen import Listeners
from tests.support.waiting import until


async def settle() -> None:
    """Time for what must not happen."""
    for _ in range(20):
        await asyncio.sleep(0.001)


def test_connections_are_accepted_between_start_and_stop() -> None:
    async def run() -> tuple[int, int, int]:
        got: list[socket.socket] = []
        listeners = Listeners(got.append, lambda: None)
        listening = socket.create_server(("127.0.0.1", 0))
        listeners.adopt([listening])
        address = listening.getsockname()
        clients = [socket.create_connection(address)]
        await settle()
        before = len(got)
        listeners.start()
        await until(lambda: len(got) == 1)
        during = len(got)
        listeners.stop()
        clients.append(socket.create_connection(address))
        await settle()
        after = len(got)
        listeners.close()
        for one in (*clients, *got):
            one.close()
        return before, during, after

    assert asyncio.run(run()) == (0, 1, 1)


def test_new_sockets_take_over_while_accepting() -> None:
    async def run() -> tuple[int, set[tuple[str, int]]]:
        got: list[socket.socket] = []
        listeners = Listeners(got.append, lambda: None)
        listeners.adopt([socket.create_server(("127.0.0.1", 0))])
        listeners.start()
        second = socket.create_server(("127.0.0.1", 0))
        address = second.getsockname()
        listeners.adopt([second])
        client = socket.create_connection(address)
        await until(lambda: len(got) == 1)
        names = listeners.names
        assert names == {address}
        assert listeners.descriptors == [second.fileno()]
        listeners.close()
        for one in (client, *got):
            one.close()
        return len(got), names

    assert asyncio.run(run())[0] == 1


class Exhausted:
    """A listening socket of a process that may open no more files, once."""

    def __init__(self) -> None:
        self.calls = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.calls += 1
        if self.calls == 1:
            raise OSError(errno.EMFILE, "too many open files")
        if self.calls == 2:
            raise OSError(errno.ECONNABORTED, "gone")
        raise BlockingIOError


def test_no_descriptors_left_pauses_and_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "PAUSE_S", 0.01)

    async def run() -> tuple[int, bool, bool]:
        told: list[int] = []
        listeners = Listeners(lambda _: None, lambda: told.append(1))
        listeners.adopt([socket.create_server(("127.0.0.1", 0))])
        listeners.start()
        broken = Exhausted()
        listeners._on_ready(broken)  # type: ignore[arg-type]  # a socket that fails
        paused = listeners._reading
        await asyncio.sleep(0.05)
        resumed = listeners._reading
        listeners._on_ready(broken)  # type: ignore[arg-type]  # and one whose client has gone
        listeners.close()
        assert broken.calls == 3
        return len(told), paused, resumed

    assert asyncio.run(run()) == (1, False, True)
