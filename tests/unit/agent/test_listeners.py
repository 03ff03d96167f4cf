"""Listening sockets. Transparency needs a capability and is left to the lab: a harmless option stands in for it."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import listeners
from agent.errors import AgentError, ListenerTaken
from agent.listeners import Listeners, adopt, create, reset_queued
from tests.support.ports import free_port
from tests.support.waiting import LONGEST_S


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listeners]:
    monkeypatch.setattr(listeners, "_IP_TRANSPARENT", socket.IP_TTL)
    monkeypatch.setattr(listeners, "_IPV6_TRANSPARENT", socket.IPV6_UNICAST_HOPS)
    held = create(free_port())
    yield held
    held.close()


def port_of(held: Listeners) -> int:
    return int(held.v4.getsockname()[1])


def test_two_listeners_on_loopback_without_reuseport(made: Listeners) -> None:
    assert made.v4.getsockname()[0] == "127.0.0.1"
    assert made.v6.getsockname()[0] == "::1"
    for item in (made.v4, made.v6):
        assert item.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        assert item.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_a_port_that_is_held_is_told_apart(made: Listeners) -> None:
    with pytest.raises(ListenerTaken, match="in use"):
        create(port_of(made))


def test_sockets_handed_over_are_the_same_sockets(made: Listeners) -> None:
    adopted = adopt([os.dup(made.v4.fileno()), os.dup(made.v6.fileno())], port_of(made))
    assert adopted.v4.getsockname() == made.v4.getsockname()
    adopted.close()


def test_other_sockets_are_refused(made: Listeners) -> None:
    with socket.socket() as stray, pytest.raises(AgentError, match="not the listeners"):
        adopt([os.dup(made.v4.fileno()), os.dup(stray.fileno())], port_of(made))


def test_anything_else_that_is_handed_over_is_refused_and_closed(made: Listeners, tmp_path: Path) -> None:
    """A file that is no socket, a listener without a port: no error that the agent would not survive."""
    with socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "s"))
        local.listen()
        for stray in (os.open(os.devnull, os.O_RDONLY), os.dup(local.fileno())):
            handed = [os.dup(made.v4.fileno()), stray]
            with pytest.raises(AgentError, match="not the listeners"):
                adopt(handed, port_of(made))
            for descriptor in handed:
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(descriptor)


def test_what_waits_for_a_proxy_that_stays_away_is_reset(made: Listeners) -> None:
    with socket.create_connection(made.v4.getsockname()[:2]) as client:
        assert select.select([made.v4], [], [], LONGEST_S)[0]  # it has arrived
        assert reset_queued(made) == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert reset_queued(made) == 0
