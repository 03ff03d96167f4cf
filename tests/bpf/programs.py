"""The loaded programs under test: an instance of their own, a network namespace of their own, and packets by hand.

BPF_PROG_TEST_RUN runs a tc program on a packet, with `struct __sk_buff` for the mark and the interface. The skb is
not at tc ingress then, so bpf_sk_assign always fails and a hand-over ends as DROP_PROXY_MISSING: that is how these
tests see "policy asks for the proxy" (real hand-overs are `smoke.py`'s and the lab's).
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network

from pyroute2 import IPRoute

from agent.datapath import libbpf
from agent.datapath.kernel import KernelDatapath
from agent.datapath.tables import (
    AddressKey,
    EndpointEntry,
    EndpointFreed,
    EndpointSpent,
    FlowEvent,
    IpcacheEntry,
    IpcacheKey,
    NodeConfig,
    PolicyStep,
)
from agent.policypages import pages_of
from agent.policysets import keys_of
from mesh import layouts
from mesh.model import Address
from tests.support import chains
from tests.support.chains import Word

INSTANCE = "test-bpf"
TC_OK, TC_SHOT, TC_REDIRECT = 0, 2, 7
TO_PROXY, FROM_PROXY, OWN_ANSWER, MASK = 0x10, 0x20, 0x30, 0xF0
POD, PEER = 1, 2
POD_SET = 1
ADDRESS = {4: ip_address("10.1.0.2"), 6: ip_address("fd01::2")}
PEER_ADDRESS = {4: ip_address("10.1.0.3"), 6: ip_address("fd01::3")}
WORLD_ADDRESS = {4: ip_address("192.0.2.7"), 6: ip_address("2001:db8::7")}
NODE_ADDRESS = {4: ip_address("10.1.0.1"), 6: ip_address("fd01::1")}
POD_IDENTITY, PEER_IDENTITY = 300, 301
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program did to a packet."""

    action: int
    reason: int
    """Of the last event; DROP_NONE without one."""
    verdict: int
    """Of the last event; 0 without one."""
    packet: bytes
    events: tuple[FlowEvent, ...]

    @property
    def passed(self) -> bool:
        return self.action == TC_OK


@dataclass(kw_only=True)
class Bench:
    """One pod (and a peer pod of the same node) with policy in their sets."""

    datapath: KernelDatapath
    ifindex: int
    peer_ifindex: int
    programs: dict[str, int] = field(default_factory=dict)
    words: dict[tuple[int, int], list[Word]] = field(default_factory=dict)
    """What `policy` was told, by direction and identity."""

    def run(
        self,
        program: str,
        packet: bytes,
        *,
        mark: int = 0,
        ifindex: int | None = None,
        came_in: int = 0,
        repeat: int = 1,
    ) -> Outcome:
        """One packet through one program, with the events that came out of it. `came_in`: 0, made in this namespace."""
        run = self.raw(program, packet, mark=mark, ifindex=ifindex, came_in=came_in, repeat=repeat)
        events: list[FlowEvent] = []
        self.datapath.read_events(events.append, limit=10_000)
        last = events[-1] if events else None
        return Outcome(run.retval, last.reason if last else 0, last.verdict if last else 0, run.data, tuple(events))

    def raw(
        self,
        program: str,
        packet: bytes,
        *,
        mark: int = 0,
        ifindex: int | None = None,
        came_in: int = 0,
        repeat: int = 1,
    ) -> libbpf.TestRun:
        context = bytearray(192)
        struct.pack_into("=I", context, 8, mark)
        struct.pack_into("=II", context, 36, came_in, ifindex or self.ifindex)
        return libbpf.program_test_run(self.programs[program], packet, bytes(context), repeat=repeat)

    def reset(self) -> None:
        """No flows, no policy, default configuration."""
        for name in ("conntrack", "policy", "mesh_frag", "redirect"):
            table = self.datapath.tables.by_name(name)
            table.delete_many([key for key, _ in table.items()])
        self.words.clear()
        for number in (0, POD, PEER):
            self.datapath.tables.spent.put(number, EndpointSpent())
            self.datapath.tables.freed.put(number, EndpointFreed())
        self.datapath.configure(config())
        self.endpoint()
        self.endpoint(number=PEER)
        self.datapath.read_events(lambda _: None, limit=1_000_000)

    def endpoint(self, *, number: int = POD, policy_set: int = POD_SET, epoch: int = 1, flags: int = 0) -> None:
        addresses = ADDRESS if number == POD else PEER_ADDRESS
        identity = POD_IDENTITY if number == POD else PEER_IDENTITY
        entry = EndpointEntry(
            ifindex=self.ifindex if number == POD else self.peer_ifindex,
            policy_set=policy_set,
            epoch=epoch,
            flags=flags | layouts.ENDPOINT_HAS_V4 | layouts.ENDPOINT_HAS_V6,
            identity4=identity,
            identity6=identity,
            addr4=addresses[4],
            addr6=addresses[6],
            netns_cookie=number,
        )
        self.datapath.tables.endpoint.put(number, entry)

    def policy(
        self,
        flags: int,
        *,
        direction: int,
        identity: int = layouts.IDENTITY_ANY,
        protocol: int = 0,
        port: int | None = None,
        last: int | None = None,
        rules: int = 0,
    ) -> None:
        """One more word of a chain: on all, a protocol, a port, or the ports up to `last`. The narrowest counts."""
        words = self.words.setdefault((direction, identity), [])
        words.append(chains.word(flags, rules, protocol, port, last))
        self.chain(chains.chain_of(words), direction=direction, identity=identity)

    def chain(self, chain: tuple[PolicyStep, ...], *, direction: int, identity: int = layouts.IDENTITY_ANY) -> None:
        part = {(direction, number): page for number, page in pages_of(chain).items()}
        self.datapath.tables.policy.put_many(keys_of(POD_SET, identity, part))

    def allow_all(self) -> None:
        for direction in (layouts.DIR_EGRESS, layouts.DIR_INGRESS):
            self.policy(layouts.POLICY_ALLOW | layouts.POLICY_DEFAULT, direction=direction)


def config(**changes: int) -> NodeConfig:
    values = {
        "flags": layouts.CONFIG_PROXY_UP,
        "mark_mask": MASK,
        "mark_to_proxy": TO_PROXY,
        "mark_from_proxy": FROM_PROXY,
        "mark_own_answer": OWN_ANSWER,
        "proxy_port": 15001,
        "agent_port": 15002,
        "icmp_per_second": 1000,
        "tcp_established_s": 3600,
        "tcp_opening_s": 60,
        "tcp_closing_s": 10,
        "udp_s": 60,
        "icmp_s": 30,
        "flows_per_pod": 65536,
    }
    return NodeConfig(**{**values, **changes})


def start() -> Bench:
    """Load, make the namespace's interfaces and write the tables. The caller is in a namespace of its own."""
    datapath = KernelDatapath(INSTANCE)
    datapath.ensure_loaded()
    with IPRoute() as route:
        route.link("set", index=1, state="up")
        route.link("add", ifname="pod0", kind="veth", peer="pod1")
        route.link("add", ifname="peer0", kind="veth", peer="peer1")
        pod, peer = route.link_lookup(ifname="pod0")[0], route.link_lookup(ifname="peer0")[0]
    bench = Bench(datapath=datapath, ifindex=pod, peer_ifindex=peer)
    for name in ("tc_from_pod", "tc_to_pod", "tc_from_net", "sk_lookup"):
        bench.programs[name] = libbpf.obj_get(f"/sys/fs/bpf/weft/{INSTANCE}/progs/{name}")
    tables = datapath.tables
    tables.endpoint_by_ifindex.put_many({pod: POD, peer: PEER})
    for number, addresses, identity in ((POD, ADDRESS, POD_IDENTITY), (PEER, PEER_ADDRESS, PEER_IDENTITY)):
        for address in addresses.values():
            tables.endpoint_by_address.put(AddressKey(address), number)
            cached(bench, address, identity, layouts.IPCACHE_LOCAL)
    for address in NODE_ADDRESS.values():
        tables.endpoint_by_address.put(AddressKey(address), 0)
        cached(bench, address, layouts.IDENTITY_HOST, layouts.IPCACHE_LOCAL)
    for text in ("::/0", "0.0.0.0/0"):
        tables.ipcache.put(IpcacheKey(ip_network(text)), IpcacheEntry(layouts.IDENTITY_WORLD))
    return bench


def cached(bench: Bench, address: Address, identity: int, flags: int = 0) -> None:
    bench.datapath.tables.ipcache.put(IpcacheKey(ip_network(address)), IpcacheEntry(identity, flags))


def stop(bench: Bench) -> None:
    for fd in bench.programs.values():
        os.close(fd)
    bench.datapath.uninstall()


def enter_new_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000):
        raise OSError(ctypes.get_errno(), "the kernel tests need root: unshare(CLONE_NEWNET)")


# ---- packets ---------------------------------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(source: Address, destination: Address, protocol: int, payload: bytes, **changes: int) -> bytes:
    """Ethernet, IP and what is in it. `changes`: ihl, total, fragment, ident, hops, version, next_header."""
    hops = changes.get("hops", 64)
    if isinstance(source, IPv4Address):
        total = changes.get("total", 20 + len(payload))
        start = (changes.get("version", 4) << 4) | changes.get("ihl", 5)
        head = struct.pack(
            ">BBHHHBBH", start, 0, total, changes.get("ident", 1), changes.get("fragment", 0), hops, protocol, 0
        )
        raw = head + source.packed + destination.packed
        raw = raw[:10] + struct.pack(">H", checksum(raw)) + raw[12:]
        return bytes(6) + b"\x02" * 6 + b"\x08\x00" + raw + payload
    start = changes.get("version", 6) << 28
    head = struct.pack(">IHBB", start, changes.get("total", len(payload)), protocol, hops)
    return bytes(6) + b"\x02" * 6 + b"\x86\xdd" + head + source.packed + destination.packed + payload


def tcp(sport: int, dport: int, flags: int = SYN, *, offset: int = 5, seq: int = 1000, ack: int = 0) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, seq, ack, offset << 4, flags, 65535, 0, 0)


def udp(sport: int, dport: int, data: bytes = b"data") -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data


def sctp(sport: int, dport: int) -> bytes:
    return struct.pack(">HHII", sport, dport, 0, 0) + bytes(20)


def echo(kind: int, ident: int) -> bytes:
    return struct.pack(">BBHHH", kind, 0, 0, ident, 1) + b"ping"


def l4(protocol: int, sport: int, dport: int) -> bytes:
    """A first packet of a flow."""
    if protocol == TCP:
        return tcp(sport, dport)
    if protocol in (ICMP, ICMPV6):
        return echo(8 if protocol == ICMP else 128, sport)
    return udp(sport, dport) if protocol == UDP else sctp(sport, dport)
