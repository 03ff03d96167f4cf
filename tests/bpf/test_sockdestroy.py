"""Exactly the socket of a flow is destroyed, never the listener that the kernel's own lookup falls back to."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest

from agent.datapath import sockdestroy
from tests.bpf.programs import TCP, UDP, Bench
from tests.support.waiting import LONGEST_S

FORMS = {"IPv4": ("127.0.0.1", "127.0.0.1"), "IPv6": ("::1", "::1"), "v4-mapped": ("::", "127.0.0.1")}


@pytest.fixture
def here(bench: Bench) -> str:
    """The namespace of the kernel tests."""
    return f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def server(opened: ExitStack, bound: str, kind: int) -> socket.socket:
    made = opened.enter_context(socket.socket(socket.AF_INET6 if ":" in bound else socket.AF_INET, kind))
    made.settimeout(LONGEST_S)
    made.bind((bound, 0))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def client(opened: ExitStack, host: str, port: int, kind: int) -> socket.socket:
    made = opened.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind))
    made.settimeout(LONGEST_S)
    made.connect((host, port))
    return made


@pytest.mark.parametrize("form", FORMS)
def test_a_connection_ends_and_its_listener_stays(here: str, opened: ExitStack, form: str) -> None:
    bound, host = FORMS[form]
    listener = server(opened, bound, socket.SOCK_STREAM)
    port, ip = listener.getsockname()[1], ip_address(host)
    caller = client(opened, host, port, socket.SOCK_STREAM)
    accepted = opened.enter_context(listener.accept()[0])
    end = caller.getsockname()[1]
    assert sockdestroy.destroy(here, TCP, ip, port, ip, end)
    with pytest.raises(ConnectionError):
        accepted.recv(1)
    with pytest.raises(ConnectionError):
        caller.recv(1)
    # it is gone now: the same question must not hit the listener
    assert not sockdestroy.destroy(here, TCP, ip, port, ip, end)
    client(opened, host, port, socket.SOCK_STREAM)
    opened.enter_context(listener.accept()[0])


@pytest.mark.parametrize("form", FORMS)
def test_a_datagram_server_that_serves_everybody_stays(here: str, opened: ExitStack, form: str) -> None:
    bound, host = FORMS[form]
    everybody = server(opened, bound, socket.SOCK_DGRAM)
    port, ip = everybody.getsockname()[1], ip_address(host)
    caller = client(opened, host, port, socket.SOCK_DGRAM)
    end = caller.getsockname()[1]
    assert not sockdestroy.destroy(here, UDP, ip, port, ip, end)
    caller.send(b"still there?")
    assert everybody.recv(64) == b"still there?"
    assert sockdestroy.destroy(here, UDP, ip, end, ip, port)
    with pytest.raises(ConnectionError):
        caller.recv(1)
