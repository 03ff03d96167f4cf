from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address
from itertools import count
from pathlib import Path

import pytest

from l7proxy import worker as module
from l7proxy.config import ProxyConfig
from l7proxy.core.client import ClientConnection
from l7proxy.core.limits import Limits
from l7proxy.core.shares import payers
from l7proxy.worker import Worker
from mesh.api.codec_link import ProxyWelcome
from mesh.api.floor import Floor
from mesh.model import IdentityId, Revision
from tests.support.playbook import FakePipe
from tests.support.proxy import (
    FACTS,
    OK,
    FixedOrigins,
    PlainDialer,
    Proxy,
    Upstream,
    ingress,
    prefix,
    proxied,
    read_all,
    read_until,
    rule,
    statuses,
    view,
)
from tests.support.waiting import LONGEST_S, eventually

GET = b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n"
ONLY_API = view(ingress(rule(http=(prefix("/api"),))))


def until(what: Callable[[], bool]) -> None:
    eventually(what, bool)


def assert_cut_off(proxy: Proxy) -> None:
    """A new connection is reset. That can come before connect() has returned."""
    with pytest.raises(ConnectionResetError), proxy.connect() as made:
        made.recv(1)


def was_reset(made: socket.socket) -> bool:
    tcp_close = 7  # the state in struct tcp_info, include/net/tcp_states.h
    return made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == tcp_close


def with_worker(act: Callable[[Worker], Awaitable[None]], *, clock: Callable[[], float] = time.monotonic) -> None:
    """A worker on a loop of the test's own: what happens between two turns of it is up to the test."""

    async def run() -> None:
        worker = Worker(ProxyConfig(agent_socket=Path("/nowhere"), drain_s=0), clock=clock)
        async with asyncio.TaskGroup() as tasks:
            worker.start(tasks)
            worker.adopt([], FixedOrigins(FACTS), PlainDialer(("127.0.0.1", 1)), own=False)
            await act(worker)
            worker.stop()
            await worker.until_stopped()

    asyncio.run(run())


def test_connection_without_a_record_is_reset() -> None:
    with proxied(facts=None) as (proxy, upstream):
        assert_cut_off(proxy)
        assert proxy.worker.counters.unaccepted == {"no-record": 1}
        assert upstream.all == b""


def test_the_welcome_shows_the_floor(tmp_path: Path) -> None:
    async def act(worker: Worker) -> None:
        floor = Floor(tmp_path / "floor")
        pairs = [socket.create_server(("127.0.0.1", 0)).detach() for _ in range(2)]
        given = [*pairs, os.open(os.devnull, os.O_RDONLY), floor.descriptor()]
        worker.welcomed(ProxyWelcome(node="n", listen_port=1, mark_from_proxy=1), given)
        worker.swapped(replace(ONLY_API, revision=Revision(3)))
        assert (worker.revision, worker.floor[0]) == (3, 0)
        floor.set(4)
        assert worker.floor[0] == 4
        floor.close()

    with_worker(act)


def test_connection_to_the_listeners_own_address_is_closed() -> None:
    with proxied() as (proxy, _):
        proxy.call(lambda: proxy.worker._own.add(proxy.address))
        assert_cut_off(proxy)
        assert proxy.worker.counters.unaccepted == {"proxy-port": 1}


def test_too_many_connections_are_closed_and_counted() -> None:
    with proxied(limits=Limits(connections=1)) as (proxy, _), proxy.connect() as first:
        first.sendall(GET)
        read_until(first, OK[-2:])
        assert_cut_off(proxy)
        assert proxy.worker.counters.unaccepted == {"too-many": 1}


def test_a_pod_with_its_share_of_connections_leaves_the_rest_to_others() -> None:
    with proxied(limits=Limits(connections_per_client=2)) as (proxy, _):
        held = [proxy.connect(), proxy.connect()]
        for made in held:
            made.sendall(GET)
            read_until(made, OK[-2:])
        assert_cut_off(proxy)
        assert proxy.worker.counters.unaccepted == {"share": 1}
        proxy.origins.facts = replace(FACTS, source_endpoint=9)
        assert statuses(proxy.exchange(GET)) == [200]
        proxy.origins.facts = FACTS
        held.pop().close()
        until(lambda: len(proxy.worker.clients) == 1)
        assert statuses(proxy.exchange(GET)) == [200]
        held.pop().close()
        until(lambda: len(proxy.worker._shares) == 0)


def test_a_client_that_reads_nothing_is_reset_before_it_fills_the_memory() -> None:
    def behave(upstream: Upstream, made: socket.socket) -> None:
        for _ in upstream.recording(made):
            made.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
            for _ in range(1024):
                made.sendall(bytes(65536))

    # An answer is read on below a quarter of 16 KiB, so each of 16 holds 4 KiB at least once its reader is full.
    limits = Limits(client_bytes=32 << 10, least_pipe_bytes=16 << 10)
    with proxied(behave, limits=limits) as (proxy, _):
        opened = [proxy.connect() for _ in range(16)]
        for made in opened:
            made.sendall(GET)
        until(lambda: proxy.worker.counters.refused.get("not-reading", 0) > 0)
        until(lambda: proxy.waiting_bytes() <= limits.client_bytes)
        until(lambda: sum(map(was_reset, opened)) == proxy.worker.counters.refused["not-reading"])
        for made in opened:
            made.close()
        until(lambda: len(proxy.worker._shares) == 0)


def test_policy_change_is_in_force_for_the_next_request_of_an_open_connection() -> None:
    with proxied(now=ONLY_API) as (proxy, _), proxy.connect() as made:
        made.sendall(GET)
        assert statuses(read_until(made, b"ok")) == [200]
        proxy.swap(view(ingress(rule(http=(prefix("/other"),))), 2))
        made.sendall(GET)
        assert statuses(read_until(made, b"Forbidden\n")) == [403]
        assert proxy.worker.counters.revision == 2


def test_policy_that_forbids_all_resets_idle_connections_on_both_sides() -> None:
    ends: list[bytes] = []

    def behave(upstream: Upstream, made: socket.socket) -> None:
        try:
            for _ in upstream.recording(made):
                made.sendall(OK)
        except ConnectionResetError:
            ends.append(b"reset")

    with proxied(behave, now=ONLY_API) as (proxy, _), proxy.connect() as made:
        made.sendall(GET)
        read_until(made, b"ok")
        proxy.swap(view(ingress(), 2))
        with pytest.raises(ConnectionResetError):
            made.recv(1)
        until(lambda: ends == [b"reset"])


def test_connection_that_is_being_accepted_while_the_view_changes_is_judged_by_the_new_one() -> None:
    async def act(worker: Worker) -> None:
        worker.swapped(ONLY_API)
        ours, theirs = socket.socketpair()
        with ours:
            serving = asyncio.ensure_future(worker._serve(theirs, FACTS, payers(FACTS)))
            await asyncio.sleep(0)  # it has a pair, and waits for its transport
            worker.swapped(view(ingress(rule(http=(prefix("/other"),))), 2))
            await serving
            (client,) = worker.clients
            assert client.pair.revision == 2

    with_worker(act)


def idle_client(worker: Worker, port: int) -> ClientConnection:
    facts = replace(FACTS, destination_port=port)
    shelf = worker._running_pool().shelf(facts.pool_key)
    client = ClientConnection(worker, FakePipe(), worker._authorizer.pair(facts), facts, shelf)
    worker.clients[client] = payers(FACTS)
    return client


def cut(clients: list[ClientConnection]) -> int:
    return sum(client.pipe.is_closing() for client in clients)


def test_forbidden_connections_are_sought_a_while_at_a_time() -> None:
    """Here each look at a connection takes as long as may be spent in one go."""
    turns = count()

    async def act(worker: Worker) -> None:
        worker.swapped(ONLY_API)
        clients = [idle_client(worker, 8000 + number) for number in range(5)]
        worker.swapped(view(ingress(), 2))
        assert cut(clients) == 1
        assert worker.generation == worker._authorizer.generation  # in force for all requests at once
        await asyncio.sleep(0)  # the task begins, and lets the loop go first
        for done in (1, 2, 3, 4, 5):
            assert cut(clients) == done
            await asyncio.sleep(0)
        assert worker.counters.reset_by_policy == 5
        worker.clients.clear()

    with_worker(act, clock=lambda: float(next(turns)))


def test_views_that_come_fast_pass_nobody_over() -> None:
    turns = count()

    async def act(worker: Worker) -> None:
        worker.swapped(ONLY_API)
        clients = [idle_client(worker, 8000 + number) for number in range(5)]
        for revision in range(5):
            worker.swapped(view(ingress(), 2 + revision))  # never a turn of the loop between
        assert cut(clients) == 5
        assert worker.counters.reset_by_policy == 5
        worker.clients.clear()

    with_worker(act, clock=lambda: float(next(turns)))


def test_upstream_connections_are_kept_for_a_client_whose_identity_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    # the regular look closes those that nobody has a claim to since the view changed, whenever it comes
    monkeypatch.setattr(module, "CHECK_EVERY_TICKS", 1 << 60)
    with proxied() as (proxy, _), proxy.connect() as made:
        made.sendall(GET)
        read_until(made, b"ok")
        moved = {ip_address(FACTS.source_ip): IdentityId(999)}
        proxy.swap(replace(view(ingress(rule(http=(prefix("/api"),))), 2), moved=moved))
        for _ in range(3):
            made.sendall(GET)
            read_until(made, b"ok")
        # on the worker's loop: the client has its answer a moment before the upstream connection is given back
        shelves = proxy.call(lambda: list(proxy.worker._running_pool()._shelves.values()))
        assert proxy.worker.counters.upstream_opened == 2  # one for each of the two that it was
        assert [len(shelf.idle) for shelf in shelves] == [1, 1]
        assert [shelf.users for shelf in shelves] == [0, 1]


def test_drain_answers_what_is_in_flight_and_closes_the_rest() -> None:
    release: list[bool] = []

    def behave(upstream: Upstream, made: socket.socket) -> None:
        for _ in upstream.recording(made):
            until(lambda: bool(release))
            made.sendall(OK)

    with proxied(behave, drain_s=LONGEST_S) as (proxy, upstream), proxy.connect() as busy:
        busy.sendall(GET)
        until(lambda: upstream.all == GET)
        proxy.stop()
        until(lambda: proxy.worker.draining)
        release.append(True)
        answer = read_all(busy)
        assert statuses(answer) == [200]
        assert b"\r\nConnection: close\r\n" in answer


def test_drain_ends_at_its_deadline() -> None:
    def behave(upstream: Upstream, made: socket.socket) -> None:
        for _ in upstream.recording(made):
            pass

    with proxied(behave) as (proxy, upstream), proxy.connect() as stuck:
        stuck.sendall(GET)
        until(lambda: upstream.all == GET)
        begun = time.monotonic()
        proxy.close()
        assert time.monotonic() - begun > 1.5
        with pytest.raises(ConnectionResetError):
            stuck.recv(1)


def test_access_log_is_written_and_reopened(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with proxied(access_log=path) as (proxy, _):
        proxy.exchange(GET)
        until(lambda: path.exists() and path.read_text().count("\n") == 1)
        path.rename(tmp_path / "old")
        proxy.call(proxy.worker.reopen_log)
        proxy.exchange(GET)
        until(lambda: path.exists() and path.read_text().count("\n") == 1)
        assert json.loads(path.read_text())["status"] == 200


def test_slow_head_is_ended_by_the_clock() -> None:
    with proxied(limits=Limits(head_s=0.2)) as (proxy, _), proxy.connect() as made:
        made.sendall(b"GET / HTTP/1.1\r\nHo")
        assert statuses(read_all(made)) == [408]


def test_flow_records_are_made_of_what_happened() -> None:
    with proxied(now=ONLY_API) as (proxy, _):
        proxy.exchange(GET + b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n")
        numbers = iter(range(9))
        records = proxy.call(lambda: proxy.worker.tallies.take("n1", 1, lambda: str(next(numbers))))
        assert [(one.verdict.value, one.count) for one in records] == [("allow", 1), ("deny", 1)]


def test_service_name_is_in_the_record() -> None:
    with proxied(facts=replace(FACTS, service=7)) as (proxy, _):
        proxy.exchange(GET)
        (record,) = proxy.call(lambda: proxy.worker.tallies.take("n1", 1, lambda: "1"))
        assert record.service == "t/web"
