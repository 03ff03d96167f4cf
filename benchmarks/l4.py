"""L4 policy between nodes and on one node: throughput and request-response with the programs attached, against without.

Networks of the same shape stand side by side: in one the agents enforce policy among ten thousand identities by
five thousand rules, the other has no mesh. iperf3's ends have a CPU each; rr's share one, which takes the scheduler's
choice of CPU out of the latency.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import intent, load
from benchmarks.hosts import Network
from benchmarks.intent import CLIENT_IDENTITY, SERVER_IDENTITY, Subject
from benchmarks.node import MeshNode
from benchmarks.options import Options
from benchmarks.processes import listening, start
from benchmarks.report import Row, Section, Sense, Target, ratio_row
from benchmarks.rounds import Sample, Samples, measure
from benchmarks.topology import LOAD_CPU, WORK_CPU, Node, Pod, one_node, two_nodes

IDENTITIES = 10_000
RULES = 5_000
IPERF_PORT = 5201
RR_PORT = 7000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A client and a server that can talk, and the cgroup that the client's processes belong to."""

    client: Pod
    server: Pod
    cgroup: Path | None = None


def run(options: Options) -> Section:
    size = f"{options.scaled(IDENTITIES):,} identities, {options.scaled(RULES):,} rules"
    targets = (Target(sense=Sense.AT_LEAST, value=0.97), Target(sense=Sense.AT_MOST, value=1.03))
    cross = _measured(options, _cross_node, "cross node")
    same = _measured(options, _same_node, "same node")
    return Section(
        name="l4",
        rows=[*_rows(cross, f"cross node ({size})", targets), *_rows(same, "same node", (None, None))],
        samples={"cross node": cross, "same node": same},
    )


def _rows(samples: Samples, where: str, targets: tuple[Target | None, Target | None]) -> list[Row]:
    fast, quick = targets
    return [
        ratio_row(samples, f"{where}: throughput against no mesh", "weft", "no mesh", "Gbit/s", fast),
        ratio_row(samples, f"{where}: throughput per CPU second", "weft", "no mesh", "Gbit/CPU s", None),
        ratio_row(samples, f"{where}: request-response p50", "weft", "no mesh", "rr p50 us", quick),
        ratio_row(samples, f"{where}: request-response p99", "weft", "no mesh", "rr p99 us", None),
    ]


Shape = Callable[[Network], tuple[tuple[Node, Pod], tuple[Node, Pod]]]


def _cross_node(network: Network) -> tuple[tuple[Node, Pod], tuple[Node, Pod]]:
    return two_nodes(network)


def _same_node(network: Network) -> tuple[tuple[Node, Pod], tuple[Node, Pod]]:
    node, client, server = one_node(network)
    return (node, client), (node, server)


def _measured(options: Options, shape: Shape, title: str) -> Samples:
    with ExitStack() as stack:
        plain = _pair(stack, options, shape, f"{title[0]}plain", meshed=False)
        meshed = _pair(stack, options, shape, f"{title[0]}mesh", meshed=True)
        variants = {"no mesh": _variant(options, plain), "weft": _variant(options, meshed)}
        return measure(variants, options.rounds, progress=lambda text: options.progress(f"l4 {title} {text}"))


def _pair(stack: ExitStack, options: Options, shape: Shape, label: str, *, meshed: bool) -> Pair:
    network = stack.enter_context(Network(f"l4{label}"))
    folder = options.scratch / f"l4-{label}"
    folder.mkdir()
    (near, client), (far, server) = shape(network)
    for words, port in ((["iperf3", "--server"], IPERF_PORT), (_rr_server(server), RR_PORT)):
        # rr shares the client's CPU, iperf3 does not.
        cpu = LOAD_CPU if port == RR_PORT else WORK_CPU
        program = stack.enter_context(start(server.host, words, folder / f"{port}.log", cpu=cpu))
        program.wait_until(partial(listening, server.host, port), 10, f"listener on {port}")
    if not meshed:
        return Pair(client=client, server=server)
    mesh = _enforce(stack, options, folder, near, client, far, server)
    return Pair(client=client, server=server, cgroup=mesh.cgroup)


def _enforce(
    stack: ExitStack, options: Options, folder: Path, near: Node, client: Pod, far: Node, server: Pod
) -> MeshNode:
    """Both nodes enforced; returns the client's."""
    rules, crowd = options.scaled(RULES), options.scaled(IDENTITIES)
    ports = (IPERF_PORT, RR_PORT)
    subjects = [
        Subject(
            name=name,
            address=pod.address,
            identity=own,
            policy=intent.crowded_policy(name, peer, ports, rules, crowd),
        )
        for name, pod, own, peer in (
            ("client", client, CLIENT_IDENTITY, SERVER_IDENTITY),
            ("server", server, SERVER_IDENTITY, CLIENT_IDENTITY),
        )
    ]
    pods = {"client": client, "server": server}
    parts = [(near, subjects)] if near == far else [(near, subjects[:1]), (far, subjects[1:])]
    nodes = []
    for node, here in parts:
        name = f"{here[0].name}-node"
        elsewhere = [subject for subject in subjects if subject not in here]
        word = intent.snapshot(name, here=here, elsewhere=elsewhere, crowd=crowd)
        mesh = stack.enter_context(MeshNode(node, name, folder, word))
        agent = mesh.start_agent()
        agent.wait_until(mesh.answers, 60, "answer on its local API")
        for subject in here:
            mesh.add_pod(subject.name, pods[subject.name])
        nodes.append(mesh)
    return nodes[0]


def _rr_server(server: Pod) -> list[str]:
    return [str(load.rr_binary()), "server", server.address, str(RR_PORT)]


def _variant(options: Options, pair: Pair) -> Callable[[], Sample]:
    host, address, cgroup = pair.client.host, pair.server.address, pair.cgroup

    def once() -> Sample:
        bulk = load.iperf3(host, address, seconds=options.seconds, cpu=LOAD_CPU, cgroup=cgroup)
        turns = load.request_response(host, address, RR_PORT, seconds=options.seconds, cpu=LOAD_CPU, cgroup=cgroup)
        return {
            "Gbit/s": bulk.gbits_per_second,
            "Gbit/CPU s": bulk.gbits_per_cpu_second,
            "rr/s": turns.per_second,
            "rr p50 us": turns.p50_us,
            "rr p99 us": turns.p99_us,
        }

    return once
