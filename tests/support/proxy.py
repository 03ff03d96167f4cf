"""A proxy worker on loopback without the kernel programs: connection facts by decree, upstreams by plain connect().

`Proxy` runs a real `Worker` on a real event loop in a thread, so tests talk to it with blocking sockets. The peer is
pod `t/client` (endpoint 1, identity 301), the destination pod `t/server` (endpoint 2, identity 302), port 8080.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from l7proxy.config import ProxyConfig
from l7proxy.core.facts import ConnectionFacts
from l7proxy.core.limits import Limits
from l7proxy.worker import Worker
from mesh.model import (
    EVERY_PORT,
    Action,
    DirectionPolicy,
    Grant,
    HeaderMatch,
    HttpMatch,
    IdentityId,
    Match,
    PathMatch,
    PolicyKey,
    PolicySet,
    ResolvedRule,
    Revision,
    RuleRef,
)
from mesh.snapshot import PodEndpoint, ProxyView
from tests.support.waiting import LONGEST_S

T = TypeVar("T")

CLIENT, SERVER = IdentityId(301), IdentityId(302)
PORT = 8080

FACTS = ConnectionFacts(
    source_ip="10.1.0.1",
    source_port=40000,
    destination_ip="10.1.0.2",
    destination_port=PORT,
    source_identity=CLIENT,
    destination_identity=SERVER,
    source_endpoint=1,
    destination_endpoint=2,
    ingress=True,
)


def rule(
    name: str = "http",
    *,
    action: Action = Action.ALLOW,
    http: tuple[HttpMatch, ...] | None = None,
    peers: frozenset[IdentityId] | None = None,
) -> ResolvedRule:
    ref = RuleRef(policy=f"t/{name}", kind="MeshPolicy", rule="ingress[0]", action=action)
    return ResolvedRule(ref=ref, action=action, grants=(Grant(peers, (EVERY_PORT,)),), http=http)


def prefix(value: str, *methods: str) -> HttpMatch:
    return HttpMatch(paths=(PathMatch(Match.PREFIX, value),), methods=methods)


def header(name: str, value: str) -> HttpMatch:
    return HttpMatch(headers=(HeaderMatch(name, Match.EXACT, value),))


def ingress(*rules: ResolvedRule, default_deny: bool = True) -> DirectionPolicy:
    return DirectionPolicy(
        default_deny=default_deny, selected_by=(RuleRef(policy="t/http", kind="MeshPolicy"),), rules=rules
    )


def view(policy: DirectionPolicy, revision: int = 1, *, egress: DirectionPolicy | None = None) -> ProxyView:
    """`policy` guards the server; the client is free, or bound by `egress`."""
    sets = {
        "server": PolicySet(key=PolicyKey("server"), ingress=policy),
        "client": PolicySet(key=PolicyKey("client"), egress=egress or DirectionPolicy()),
    }
    endpoints = {
        number: PodEndpoint(
            namespace="t",
            name=name,
            uid=f"uid-{name}",
            service_account="default",
            addresses=((ip_address(address), identity),),
            enforced=True,
            policy=PolicyKey(name),
        )
        for number, name, address, identity in (
            (1, "client", FACTS.source_ip, CLIENT),
            (2, "server", FACTS.destination_ip, SERVER),
        )
    }
    return ProxyView(
        revision=Revision(revision),
        endpoints=endpoints,
        policies={item.key: item for item in sets.values()},
        identities={},
        services={7: "t/web"},
        trust_domain="cluster.local",
    )


ALLOW_ALL = view(ingress(rule("open"), default_deny=False))


class FixedOrigins:
    """Every connection has these facts."""

    def __init__(self, facts: ConnectionFacts | None) -> None:
        self.facts = facts

    def find(self, peer: tuple[str, int], local: tuple[str, int]) -> ConnectionFacts | None:
        return replace(self.facts, source_port=peer[1]) if self.facts else None


class PlainDialer:
    """Connects to `target` whatever the destination; remembers what was asked."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.asked: list[tuple[str, str, int]] = []

    async def dial(self, source_ip: str, destination_ip: str, port: int) -> socket.socket:
        self.asked.append((source_ip, destination_ip, port))
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(made, self.target)
        except BaseException:
            made.close()
            raise
        return made


class Upstream:
    """Records what reaches it. `behave(connection)` answers; every connection has a thread."""

    def __init__(self, behave: Callable[[Upstream, socket.socket], None]) -> None:
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()
        self.received: list[bytearray] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                made, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(made)
            thread = threading.Thread(target=self._run, args=(made,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, made: socket.socket) -> None:
        with made:
            try:
                self._behave(self, made)
            except OSError:
                return

    def recording(self, made: socket.socket) -> Iterator[bytes]:
        """Each read, and all of it in `received`."""
        record = bytearray()
        self.received.append(record)
        while data := made.recv(1 << 16):
            record += data
            yield data

    @property
    def all(self) -> bytes:
        return b"".join(bytes(one) for one in self.received)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for made in self._open:
            try:
                made.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in (self._accepting, *self._threads):
            thread.join(LONGEST_S)


def answering(response: bytes) -> Callable[[Upstream, socket.socket], None]:
    """Gives `response` to every read that ends a head."""

    def behave(upstream: Upstream, made: socket.socket) -> None:
        held = b""
        for data in upstream.recording(made):
            held += data
            while b"\r\n\r\n" in held:
                held = held.partition(b"\r\n\r\n")[2]
                made.sendall(response)

    return behave


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Proxy:
    """A worker in a thread."""

    def __init__(
        self,
        target: tuple[str, int],
        now: ProxyView | None = None,
        *,
        facts: ConnectionFacts | None = FACTS,
        limits: Limits | None = None,
        access_log: Path | None = None,
        drain_s: float = 2.0,
    ) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()
        self.dialer = PlainDialer(target)
        self.origins = FixedOrigins(facts)
        self._config = ProxyConfig(
            agent_socket=Path("/nonexistent/proxy.sock"),
            access_log=str(access_log or ""),
            drain_s=drain_s,
            limits=limits or Limits(),
        )
        self._view = now or ALLOW_ALL
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(LONGEST_S)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.worker = Worker(self._config)
        self.worker.node = "n1"
        async with asyncio.TaskGroup() as tasks:
            self.worker.start(tasks)
            self.worker.adopt([self._listening], self.origins, self.dialer, own=False)
            self.worker.swapped(self._view)
            self._ready.set()
            await self.worker.until_stopped()

    def call(self, what: Callable[[], T]) -> T:
        """Run on the worker's loop."""

        async def run() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(LONGEST_S)

    def waiting_bytes(self) -> int:
        """What it holds for readers that are slow."""
        return self.call(lambda: sum(client.waiting_bytes() for client in self.worker.clients))

    def swap(self, now: ProxyView) -> None:
        self.call(lambda: self.worker.swapped(now))

    def stop(self) -> None:
        """SIGTERM."""
        self._loop.call_soon_threadsafe(self.worker.stop)

    def close(self) -> None:
        if self._thread.is_alive():
            self.stop()
        self._thread.join(LONGEST_S)
        if self._thread.is_alive():
            raise AssertionError(f"the worker does not stop: {self.worker.clients}, {asyncio.all_tasks(self._loop)}")

    def connect(self) -> socket.socket:
        made = socket.create_connection(self.address)
        made.settimeout(LONGEST_S)
        return made

    def exchange(self, data: bytes, *, finish: bool = True) -> bytes:
        """Send, shut our side, and read to the end."""
        with self.connect() as made:
            made.sendall(data)
            if finish:
                made.shutdown(socket.SHUT_WR)
            return read_all(made)


def read_all(made: socket.socket) -> bytes:
    """To the end, in order or not."""
    out = bytearray()
    try:
        while data := made.recv(1 << 16):
            out += data
    except ConnectionResetError:
        pass
    return bytes(out)


def read_until(made: socket.socket, what: bytes) -> bytes:
    out = bytearray()
    while what not in out:
        data = made.recv(1 << 16)
        if not data:
            raise AssertionError(f"closed before {what!r}: {bytes(out)!r}")
        out += data
    return bytes(out)


@contextmanager
def proxied(
    behave: Callable[[Upstream, socket.socket], None] | None = None, now: ProxyView | None = None, **options: Any
) -> Iterator[tuple[Proxy, Upstream]]:
    """A proxy in front of an upstream that says OK, if it is not told otherwise."""
    upstream = Upstream(behave or answering(OK))
    proxy = Proxy(upstream.address, now, **options)
    try:
        yield proxy, upstream
    finally:
        proxy.close()
        upstream.close()


def statuses(answer: bytes) -> list[int]:
    """Of each response in `answer`, by status line."""
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]", answer)]
