"""L7, plain: one HTTP policy, access log off, metrics on; requests per CPU second of the proxy's process.

The peers stand on the node's own address, as a proxy that clients are pointed at; weft stands where it really stands,
in the path, reached through the kernel's redirect. wrk and the upstream share one CPU, each proxy has the other.

Two loads: the same request head again and again, and heads of which no two are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from benchmarks import intent, peers
from benchmarks.hosts import Host, Network
from benchmarks.intent import CLIENT_IDENTITY, SERVER_IDENTITY, Subject
from benchmarks.load import Heads, wrk
from benchmarks.node import MeshNode
from benchmarks.options import Options
from benchmarks.processes import cpu_seconds
from benchmarks.report import Row, Section, Sense, Target, ratio_row
from benchmarks.rounds import Sample, Samples, measure
from benchmarks.topology import LOAD_CPU, WORK_CPU, one_node

CONNECTIONS = (1, 16, 64)
UPSTREAM_PORT = 8080
FIRST_PEER_PORT = 9001
TARGETS = {"envoy": 2.5, "haproxy": 0.9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the client reaches the upstream, and which processes are at work in between."""

    client: Host
    address: str
    port: int
    working: Callable[[], Iterable[int]] = tuple
    cgroup: Path | None = None


def run(options: Options) -> Section:
    with ExitStack() as stack:
        return _section(options, {**_peers(stack, options), "weft": _weft(stack, options)})


def _peers(stack: ExitStack, options: Options) -> dict[str, Way]:
    """No proxy at all, and each peer on the node's own address."""
    network = stack.enter_context(Network("l7peers"))
    node, client, server = one_node(network)
    folder = options.scratch / "l7-peers"
    folder.mkdir()
    stack.enter_context(peers.upstream(server.host, server.address, UPSTREAM_PORT, folder, cpu=LOAD_CPU))
    ways = {"direct": Way(client=client.host, address=server.address, port=UPSTREAM_PORT)}
    for port, (name, begin) in enumerate({**peers.PEERS, peers.ALONE: peers.weft_alone}.items(), FIRST_PEER_PORT):
        place = peers.Place(
            host=node.host, listen=node.address, port=port, upstream=server.address, upstream_port=UPSTREAM_PORT,
            folder=folder,
        )  # fmt: skip
        program = stack.enter_context(begin(place, cpu=WORK_CPU))
        peers.check(name, client.host, node.address, port)
        ways[name] = Way(client=client.host, address=node.address, port=port, working=program.tree)
    return ways


def _weft(stack: ExitStack, options: Options) -> Way:
    """The same pods under the agent's policy: the client asks the server, the kernel hands over to the proxy."""
    network = stack.enter_context(Network("l7weft"))
    node, client, server = one_node(network)
    folder = options.scratch / "l7-weft"
    folder.mkdir()
    subjects = [
        Subject(
            name="client", address=client.address, identity=CLIENT_IDENTITY, policy=intent.open_policy("client")
        ),
        Subject(
            name="server", address=server.address, identity=SERVER_IDENTITY,
            policy=intent.http_policy("server", CLIENT_IDENTITY),
        ),
    ]  # fmt: skip
    mesh = stack.enter_context(MeshNode(node, "l7", folder, intent.snapshot("l7", here=subjects)))
    agent = mesh.start_agent(cpu=LOAD_CPU)
    agent.wait_until(mesh.answers, 60, "answer on its local API")
    proxy = mesh.start_proxy(cpu=WORK_CPU)
    proxy.wait_until(mesh.proxy_is_up, 30, "its link to the agent")
    for name, pod in (("client", client), ("server", server)):
        mesh.add_pod(name, pod)
    stack.enter_context(peers.upstream(server.host, server.address, UPSTREAM_PORT, folder, cpu=LOAD_CPU))
    peers.check("weft", client.host, server.address, UPSTREAM_PORT, cgroup=mesh.cgroup)
    return Way(client=client.host, address=server.address, port=UPSTREAM_PORT, working=proxy.tree, cgroup=mesh.cgroup)


def _section(options: Options, ways: Mapping[str, Way]) -> Section:
    found: dict[str, Samples] = {}
    rows: list[Row] = []
    for heads, connections in product(Heads, CONNECTIONS):
        variants = {name: _variant(options, way, connections, heads) for name, way in ways.items()}
        label = f"{heads.name.lower()} heads, c={connections}"
        samples = measure(variants, options.rounds, progress=partial(_progress, options, label))
        found[label] = samples
        rows += _rows(samples, label)
    return Section(name="l7", rows=rows, samples=found)


def _progress(options: Options, label: str, text: str) -> None:
    options.progress(f"l7 {label} {text}")


def _variant(options: Options, way: Way, connections: int, heads: Heads) -> Callable[[], Sample]:
    url = f"http://{way.address}:{way.port}{peers.API_PATH}"

    def once() -> Sample:
        working = list(way.working())
        before = cpu_seconds(working)
        done = wrk(
            way.client, url, connections=connections, heads=heads, seconds=options.seconds, cpu=LOAD_CPU,
            cgroup=way.cgroup,
        )  # fmt: skip
        used = cpu_seconds(working) - before
        sample = {"requests/s": done.requests / done.seconds, "p50 us": done.p50_us, "p99 us": done.p99_us}
        if working:
            sample["requests/CPU s"] = done.requests / max(used, 0.01)
        return sample

    return once


def _rows(samples: Samples, label: str) -> list[Row]:
    rows = []
    for peer in peers.PEERS:
        target = Target(sense=Sense.AT_LEAST, value=TARGETS[peer]) if peer in TARGETS else None
        work = f"requests per CPU second against {peer}, {label}"
        rows.append(ratio_row(samples, work, "weft", peer, "requests/CPU s", target))
    work = f"the same, without the redirect, {label}"
    rows.append(ratio_row(samples, work, "weft", peers.ALONE, "requests/CPU s", None))
    latency = (("direct", "no mesh"), ("haproxy", "haproxy"))
    return rows + [
        ratio_row(samples, f"p50 against {name}, {label}", "weft", against, "p50 us", None) for against, name in latency
    ]
