from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

from l7proxy.core.limits import Limits
from l7proxy.core.upstream import UpstreamConnection
from l7proxy.net.pool import Pool
from tests.support.playbook import FakePipe, FakeSite, Play, get
from tests.support.proxy import FACTS, OK, PlainDialer, Upstream, answering, proxied, read_until, statuses
from tests.support.waiting import until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def with_pool(act: Callable[[Pool, FakeSite], Awaitable[None]], *, limits: Limits | None = None) -> None:
    async def run() -> None:
        site = FakeSite(limits)
        async with asyncio.TaskGroup() as tasks:
            await act(Pool(site, PlainDialer(("127.0.0.1", 1)), tasks), site)

    asyncio.run(run())


def waiting(
    pool: Pool, site: FakeSite, key: tuple[str | int, ...] = FACTS.pool_key
) -> tuple[UpstreamConnection, FakePipe]:
    pipe = FakePipe()
    return UpstreamConnection(site, pipe, pool.shelf(key)), pipe


def test_what_nobody_has_a_claim_to_does_not_outlive_a_change_of_policy() -> None:
    async def act(pool: Pool, site: FakeSite) -> None:
        claimed, kept = waiting(pool, site)
        other, dropped = waiting(pool, site, ("10.9.9.9", 1, 2, "10.9.9.8", 80))
        for upstream in (claimed, other):
            pool.give(upstream)
        pool.leave(other.shelf)
        pool.close_idle(site.now - 30, site.now - 1)
        assert (kept.aborted, dropped.aborted) == (False, False)
        pool.close_idle(site.now - 30, site.now)
        assert (kept.aborted, dropped.aborted) == (False, True)

    with_pool(act)


def test_what_is_given_back_waits_and_grows_old() -> None:
    async def act(pool: Pool, site: FakeSite) -> None:
        upstream, pipe = waiting(pool, site)
        pool.give(upstream)
        pool.close_idle(site.now - 1)
        assert upstream.shelf.idle == [upstream]
        pool.close_idle(site.now)
        assert upstream.shelf.idle == []
        assert pipe.aborted

    with_pool(act)


def test_shelves_hold_a_bounded_number_and_none_while_draining() -> None:
    async def act(pool: Pool, site: FakeSite) -> None:
        first, second = waiting(pool, site), waiting(pool, site)
        pool.give(first[0])
        pool.give(second[0])
        assert second[1].aborted
        site.draining = True
        third = waiting(pool, site, ("other",))
        pool.give(third[0])
        assert third[1].aborted

    with_pool(act, limits=Limits(pool_per_key=1))


def test_shelf_goes_when_nobody_needs_it() -> None:
    async def act(pool: Pool, site: FakeSite) -> None:
        upstream, _ = waiting(pool, site)
        pool.give(upstream)
        pool.leave(upstream.shelf)
        assert pool.shelf(FACTS.pool_key) is upstream.shelf
        pool.leave(upstream.shelf)
        pool.forget(upstream)
        assert pool.shelf(FACTS.pool_key) is not upstream.shelf

    with_pool(act)


def test_refused_connection_is_told_to_the_client() -> None:
    async def act(pool: Pool, site: FakeSite) -> None:
        play = Play(at_once=False)
        play.ask(get())
        pool.open(play.client)
        await until(lambda: bool(play.sent))
        assert statuses(play.sent) == [502]
        assert play.site.counters.upstream_errors == {"connect-refused": 1}

    with_pool(act)


def test_upstream_that_does_not_answer_the_handshake_is_504() -> None:
    class Silent(PlainDialer):
        async def dial(self, source_ip: str, destination_ip: str, port: int) -> socket.socket:
            await asyncio.Event().wait()
            raise AssertionError

    async def act(pool: Pool, site: FakeSite) -> None:
        pool.dialer = Silent(("127.0.0.1", 1))
        play = Play(at_once=False)
        play.ask(get())
        pool.open(play.client)
        await until(lambda: bool(play.sent))
        assert statuses(play.sent) == [504]

    with_pool(act, limits=Limits(connect_s=0.02))


def test_connections_are_reused_by_the_same_client_and_by_no_other_address() -> None:
    # `claim` stays: what no client has a claim to goes at the first look after a change of policy, whenever that comes
    with proxied(answering(OK)) as (proxy, upstream), proxy.connect() as claim:
        claim.sendall(GET)
        read_until(claim, OK[-2:])
        for _ in range(2):
            assert proxy.exchange(GET) == OK
        assert len(upstream.received) == 1
        proxy.origins.facts = replace(FACTS, source_ip="10.1.0.7")
        assert proxy.exchange(GET) == OK
        assert len(upstream.received) == 2
        assert [asked[0] for asked in proxy.dialer.asked] == ["10.1.0.1", "10.1.0.7"]


def test_connection_that_the_server_closed_while_idle_costs_no_request() -> None:
    def behave(upstream: Upstream, made: socket.socket) -> None:
        for _ in upstream.recording(made):
            made.sendall(OK)
            return

    with proxied(behave) as (proxy, upstream):
        assert all(proxy.exchange(GET) == OK for _ in range(5))
        assert len(upstream.received) == 5
