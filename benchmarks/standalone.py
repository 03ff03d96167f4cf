"""weft's proxy worker alone: an ordinary listener, connection facts by decree, no agent and no kernel programs.

    python -m benchmarks.standalone LISTEN PORT UPSTREAM UPSTREAM_PORT

What the worker does for a request is what it does on a node; only the way there differs. Beside the row of the real
path it tells how much the redirect costs.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import uvloop

from benchmarks import intent
from benchmarks.intent import CLIENT_IDENTITY, NAMESPACE, SERVER_IDENTITY
from l7proxy.config import ProxyConfig
from l7proxy.core.facts import ConnectionFacts
from l7proxy.worker import Worker
from mesh.model import IdentityId, PolicySet, Revision
from mesh.snapshot import PodEndpoint, ProxyView

CLIENT, SERVER = 1, 2
POLICY_PORT = 8080
"""The port that the policy speaks of, whatever the upstream's is."""


class FixedOrigins:
    """Every connection is the client pod's to the server pod."""

    def __init__(self, destination: str) -> None:
        self._facts = ConnectionFacts(
            source_ip="",
            source_port=0,
            destination_ip=destination,
            destination_port=POLICY_PORT,
            source_identity=IdentityId(CLIENT_IDENTITY),
            destination_identity=IdentityId(SERVER_IDENTITY),
            source_endpoint=CLIENT,
            destination_endpoint=SERVER,
            ingress=True,
        )

    def find(self, peer: tuple[str, int], local: tuple[str, int]) -> ConnectionFacts | None:
        return replace(self._facts, source_ip=peer[0], source_port=peer[1])


class PlainDialer:
    """connect() without the client's address."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target

    async def dial(self, source_ip: str, destination_ip: str, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(made, self._target)
        except BaseException:
            made.close()
            raise
        return made


def view(client: str, server: str) -> ProxyView:
    """What the agent would say of the two pods."""
    policies = (intent.open_policy("client"), intent.http_policy("server", CLIENT_IDENTITY))
    return ProxyView(
        revision=Revision(1),
        endpoints={
            CLIENT: _endpoint("client", client, CLIENT_IDENTITY, policies[0]),
            SERVER: _endpoint("server", server, SERVER_IDENTITY, policies[1]),
        },
        policies={policy.key: policy for policy in policies},
        identities={},
        services={},
        trust_domain="cluster.local",
    )


def _endpoint(name: str, address: str, identity: int, policy: PolicySet) -> PodEndpoint:
    return PodEndpoint(
        namespace=NAMESPACE,
        name=name,
        uid=f"uid-{name}",
        service_account="default",
        addresses=((IPv4Address(address), IdentityId(identity)),),
        enforced=True,
        policy=policy.key,
    )


async def serve(listen: tuple[str, int], upstream: tuple[str, int]) -> None:
    worker = Worker(ProxyConfig(agent_socket=Path("/nonexistent")))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    listening = socket.create_server(listen, backlog=4096)
    listening.setblocking(False)
    async with asyncio.TaskGroup() as tasks:
        worker.start(tasks)
        worker.adopt([listening], FixedOrigins(upstream[0]), PlainDialer(upstream), own=False)
        worker.swapped(view("10.77.1.2", upstream[0]))
        await worker.until_stopped()


def main() -> None:
    listen, port, upstream, upstream_port = sys.argv[1:]
    uvloop.run(serve((listen, int(port)), (upstream, int(upstream_port))))


if __name__ == "__main__":
    main()
