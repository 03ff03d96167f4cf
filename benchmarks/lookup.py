"""What asking policy costs at 1, 1,000 and 100,000 rules: the program of a pod's veth on a SYN, which always asks.

BPF_PROG_TEST_RUN runs the attached program itself, so this is the whole way of a first packet: parse, endpoint,
conntrack, ipcache, policy, event. `established` is the way of every later packet, where conntrack decides.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from agent.datapath.programs import pin_folder
from benchmarks import intent
from benchmarks.hosts import BenchmarkFailed, Network, command
from benchmarks.intent import CLIENT_IDENTITY, SERVER_IDENTITY, Subject
from benchmarks.node import BPFFS, MeshNode
from benchmarks.options import Options
from benchmarks.processes import ENVIRONMENT
from benchmarks.report import Row, Section, Sense, Target, ratio_row
from benchmarks.rounds import Sample, measure
from benchmarks.testrun import TC_ACT_SHOT
from benchmarks.topology import WORK_CPU, one_node

RULES = (1, 1_000, 100_000)
CROWD = 10_000
PORT = 8080
MANY_PORTS = tuple(range(PORT, PORT + 200, 2))
"""So many separate ports for the one peer that its chain fills three levels of pages."""
REPEAT = 500_000
ALLOWED_SLOPE = 1.1
"""What counts as flat."""

SYN, ACK = 0x02, 0x10


def run(options: Options) -> Section:
    many = f"{len(MANY_PORTS)} ports"
    sizes = [options.scaled(size) if size == max(RULES) else size for size in RULES]
    with ExitStack() as stack:
        variants: dict[str, Callable[[], Sample]] = {}
        for size in sizes:
            variants[f"{size:,} rules"] = _loaded(stack, options, size, (PORT,))
        variants[many] = _loaded(stack, options, RULES[0], MANY_PORTS)
        samples = measure(variants, options.rounds, progress=lambda text: options.progress(f"lookup {text}"))
    names = [name for name in variants if name != many]
    target = Target(sense=Sense.AT_MOST, value=ALLOWED_SLOPE)
    rows: list[Row] = [
        ratio_row(samples, f"first packet at {name} against {names[0]}", name, names[0], "first ns", target)
        for name in names[1:]
    ]
    rows.append(ratio_row(samples, f"first packet at {many} against one port", many, names[0], "first ns", None))
    rows.append(
        Row(work=f"established packet at {names[-1]}", measured=samples.median(names[-1], "established ns"), unit="ns")
    )
    return Section(name="lookup", rows=rows, samples={"tc_from_pod": samples})


def _loaded(stack: ExitStack, options: Options, rules: int, ports: Sequence[int]) -> Callable[[], Sample]:
    name = f"lookup{rules}" if len(ports) == 1 else f"lookup{rules}x{len(ports)}"
    network = stack.enter_context(Network(name))
    folder = options.scratch / name
    folder.mkdir()
    node, client, server = one_node(network)
    policy = intent.crowded_policy("client", SERVER_IDENTITY, ports, rules, CROWD)
    subject = Subject(name="client", address=client.address, identity=CLIENT_IDENTITY, policy=policy)
    peer = Subject(name="server", address=server.address, identity=SERVER_IDENTITY, policy=intent.open_policy("server"))
    word = intent.snapshot(name, here=[subject], elsewhere=[peer], crowd=CROWD)
    mesh = stack.enter_context(MeshNode(node, name, folder, word))
    agent = mesh.start_agent()
    agent.wait_until(mesh.answers, 120, "answer on its local API")
    mesh.add_pod("client", client)

    program = pin_folder(str(BPFFS), mesh.instance) / "progs" / "tc_from_pod"
    (link,) = json.loads(command(["ip", "-json", "-netns", node.host.name, "link", "show", client.host_ifname]))
    ifindex, link_address = str(link["ifindex"]), str(link["address"])

    def cost(program: Path, *flags: int) -> float:
        packets = [tcp_packet(link_address, client.address, server.address, 40000, PORT, each).hex() for each in flags]
        words = [sys.executable, "-m", "benchmarks.testrun", str(program), ifindex, str(REPEAT), *packets]
        python_path = f"PYTHONPATH={ENVIRONMENT['PYTHONPATH']}"
        took, verdict = node.host.run("env", python_path, *words, cpu=WORK_CPU).split()
        if int(verdict) == TC_ACT_SHOT:
            raise BenchmarkFailed(f"the measured packet was dropped (at {rules} rules): this is no lookup")
        return float(took)

    def once() -> Sample:
        return {"first ns": cost(program, SYN), "established ns": cost(program, SYN, ACK)}

    return once


def tcp_packet(link_address: str, source: str, destination: str, sport: int, dport: int, flags: int) -> bytes:
    """Ethernet, IPv4, TCP without payload, sums right."""
    ethernet = bytes.fromhex(link_address.replace(":", "")) + bytes.fromhex("020000000001") + b"\x08\x00"
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    tcp = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, flags, 65535, 0, 0)
    pseudo = addresses + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, socket.IPPROTO_TCP, 0) + addresses
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    return ethernet + header + tcp


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
