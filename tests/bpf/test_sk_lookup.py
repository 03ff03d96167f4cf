"""Who listens: the proxy for a connection that tc hands over at this moment, whoever did before for all others."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from agent.datapath import libbpf
from agent.datapath.tables import RedirectKey, RedirectRecord
from mesh import layouts
from tests.bpf.programs import ACK, ADDRESS, SYN, TCP, UDP, WORLD_ADDRESS, Bench, frame, tcp

DROP, PASS = 0, 1
SO_COOKIE = 57
CLIENT_PORT, PORT = 4000, 8080
Listeners = dict[int, socket.socket]


@pytest.fixture
def listeners(bench: Bench) -> Iterator[Listeners]:
    made = {
        version: socket.create_server((host, 0), family=family, backlog=1)
        for version, host, family in ((4, "127.0.0.1", socket.AF_INET), (6, "::1", socket.AF_INET6))
    }
    bench.datapath.offer_listeners(made[4], made[6])
    yield made
    for one in made.values():
        one.close()


def record(bench: Bench, version: int, *, age_s: float = 0.0, sport: int = CLIENT_PORT) -> None:
    key = RedirectKey(source=WORLD_ADDRESS[version], destination=ADDRESS[version], sport=sport, dport=PORT)
    made_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - int(age_s * 1e9)
    numbers = {**dict.fromkeys(RedirectRecord.NUMBERS, 0), "time_ns": made_ns}
    bench.datapath.tables.redirect.put(key, RedirectRecord(**numbers))


def ask(bench: Bench, version: int, *, protocol: int = TCP) -> tuple[int, int]:
    """(action, cookie of the chosen socket or 0) for WORLD -> POD."""
    peer, local = WORLD_ADDRESS[version], ADDRESS[version]
    four = isinstance(peer, IPv4Address)
    context = struct.pack(
        "=QII4s16s2s2x4s16sII4x",
        0,
        socket.AF_INET if four else socket.AF_INET6,
        protocol,
        peer.packed if four else bytes(4),
        bytes(16) if four else peer.packed,
        struct.pack(">H", CLIENT_PORT),
        local.packed if four else bytes(4),
        bytes(16) if four else local.packed,
        PORT,
        0,
    )
    run = libbpf.program_test_run(bench.programs["sk_lookup"], b"", context)
    return run.retval, struct.unpack_from("=Q", run.context)[0]


def ask_with_a_fresh_record(bench: Bench, version: int, *, protocol: int = TCP) -> tuple[int, int]:
    """Once more where this process was held up so long that the record was none of this moment any more."""
    while True:
        began = time.monotonic()
        record(bench, version)
        answer = ask(bench, version, protocol=protocol)
        if time.monotonic() - began < 0.9:
            return answer


def cookie(listener: socket.socket) -> int:
    return int(struct.unpack("=Q", listener.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0])


@pytest.mark.parametrize("version", [4, 6])
def test_a_fresh_record_leads_to_the_proxy(bench: Bench, listeners: Listeners, version: int) -> None:
    assert ask_with_a_fresh_record(bench, version) == (PASS, cookie(listeners[version]))


@pytest.mark.parametrize("version", [4, 6])
def test_everything_else_is_left_alone(bench: Bench, listeners: Listeners, version: int) -> None:
    assert ask(bench, version) == (PASS, 0)
    record(bench, version, sport=CLIENT_PORT + 1)
    assert ask(bench, version) == (PASS, 0)
    record(bench, version, age_s=1.5)
    assert ask(bench, version) == (PASS, 0), "a record of the past"
    assert ask_with_a_fresh_record(bench, version, protocol=UDP) == (PASS, 0)


@pytest.mark.parametrize("version", [4, 6])
def test_without_the_proxys_listener_nobody_gets_it(bench: Bench, listeners: Listeners, version: int) -> None:
    for one in listeners.values():
        one.close()
    assert ask_with_a_fresh_record(bench, version) == (DROP, 0)


def test_listeners_are_replaced_and_can_be_offered_twice(bench: Bench, listeners: Listeners) -> None:
    bench.datapath.offer_listeners(listeners[4], listeners[6])
    assert ask_with_a_fresh_record(bench, 4) == (PASS, cookie(listeners[4]))
    with socket.create_server(("127.0.0.1", 0)) as other:
        bench.datapath.offer_listeners(other, listeners[6])
        assert ask_with_a_fresh_record(bench, 4) == (PASS, cookie(other))


@pytest.mark.parametrize("version", [4, 6])
def test_a_repeated_syn_makes_its_record_anew(bench: Bench, version: int) -> None:
    """Or the look-up would not believe it."""
    bench.policy(layouts.POLICY_HTTP_ALLOW, direction=layouts.DIR_EGRESS)
    table = bench.datapath.tables.redirect
    key = RedirectKey(source=ADDRESS[version], destination=WORLD_ADDRESS[version], sport=CLIENT_PORT, dport=PORT)
    times: list[int] = []
    for flags in (SYN, SYN, ACK):
        packet = frame(ADDRESS[version], WORLD_ADDRESS[version], TCP, tcp(CLIENT_PORT, PORT, flags))
        bench.run("tc_from_pod", packet)
        found = table.get(key)
        assert found is not None
        times.append(found.time_ns)
    assert times[0] < times[1] == times[2]
