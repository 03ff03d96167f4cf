"""The fast path: what takes it, what must not, and that it leaves behind what the normal way would have left."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from agent.datapath.tables import Counter, CtEntry, CtKey
from mesh import layouts
from mesh.model import Address
from tests.bpf import programs
from tests.bpf.programs import (
    ACK,
    ADDRESS,
    FIN,
    NODE_ADDRESS,
    PEER,
    PEER_ADDRESS,
    POD,
    PSH,
    RST,
    SYN,
    TC_OK,
    TC_REDIRECT,
    TCP,
    UDP,
    WORLD_ADDRESS,
    Bench,
)

EGRESS, INGRESS = layouts.DIR_EGRESS, layouts.DIR_INGRESS
POD_MAC, NODE_MAC = b"\x06\x00\x00\x00\x00\x01", b"\x06\x00\x00\x00\x00\x02"
GATEWAY = {4: "10.7.0.254", 6: "fd07::254"}
FOREVER_S = 1e6
DATA = ACK | PSH


@pytest.fixture(scope="module")
def uplink(loaded: Bench) -> Iterator[int]:
    """An interface of the node's with a gateway that leads to the world. Its number."""
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", name).write_text("1")
    with IPRoute() as route:
        route.link("add", ifname="up0", kind="veth", peer="up1")
        (index,) = route.link_lookup(ifname="up0")
        for name in ("up0", "up1", "pod0", "pod1", "peer0", "peer1"):
            route.link("set", index=route.link_lookup(ifname=name)[0], state="up")
        route.addr("add", index=index, address="10.7.0.1", prefixlen=24)
        route.addr("add", index=index, address="fd07::1", prefixlen=64, flags=2)
        for version, gateway in GATEWAY.items():
            route.neigh("add", dst=gateway, lladdr="02:00:00:00:00:99", ifindex=index, state="permanent")
            route.route("add", dst="default", gateway=gateway, family=2 if version == 4 else 10)
        yield index
        route.link("del", index=index)


@pytest.fixture
def fast(bench: Bench, uplink: int) -> Iterator[Bench]:
    """The fast path is open, both pods can be reached by it, and everything is allowed."""
    for ifindex in (bench.ifindex, bench.peer_ifindex):
        ends = layouts.VethEntry()
        ends.pod_mac[:], ends.node_mac[:] = POD_MAC, NODE_MAC
        bench.datapath._kernel_tables.veth.put(ifindex, ends)
    bench.datapath.open_fast_path(FOREVER_S, [uplink])
    bench.allow_all()
    yield bench
    bench.datapath.open_fast_path(0, [])


def mac(ifindex: int) -> bytes:
    with IPRoute() as route:
        return bytes.fromhex(route.get_links(ifindex)[0].get_attr("IFLA_ADDRESS").replace(":", ""))


def sent(bench: Bench, program: str, packet: bytes, ifindex: int) -> tuple[int, bytes, int]:
    """As it comes in at an interface: addressed to that one. (action, the packet afterwards, its mark)"""
    run = bench.raw(program, mac(ifindex) + packet[6:], ifindex=ifindex, mark=0x70)
    return run.retval, run.data, struct.unpack_from("=I", run.context, 8)[0]


def out(flags: int = DATA, version: int = 4, **changes: int) -> bytes:
    return programs.frame(ADDRESS[version], WORLD_ADDRESS[version], TCP, programs.tcp(2000, 80, flags), **changes)


def back(flags: int = DATA, version: int = 4, data: bytes = b"", **changes: int) -> bytes:
    body = programs.tcp(80, 2000, flags) + data
    return programs.frame(WORLD_ADDRESS[version], ADDRESS[version], TCP, body, **changes)


def opened(bench: Bench, version: int = 4) -> None:
    """A connection from the pod to the world."""
    assert bench.run("tc_from_pod", out(SYN, version)).passed
    assert bench.run("tc_to_pod", back(SYN | ACK, version)).passed


def flows(bench: Bench) -> dict[CtKey, CtEntry]:
    return dict(bench.datapath.tables.conntrack.items())


def counted(bench: Bench) -> dict[tuple[int, int], Counter]:
    return bench.datapath.counters()


def growth(bench: Bench, work: Callable[[], None]) -> dict[tuple[int, int], tuple[int, int]]:
    before = counted(bench)
    work()
    zero = Counter(0, 0)
    return {
        key: (after.packets - before.get(key, zero).packets, after.bytes - before.get(key, zero).bytes)
        for key, after in counted(bench).items()
        if after != before.get(key, zero)
    }


def header_sum_holds(packet: bytes) -> bool:
    return packet[12:14] != b"\x08\x00" or programs.checksum(packet[14:34]) == 0


def hops(packet: bytes) -> int:
    return packet[22] if packet[12:14] == b"\x08\x00" else packet[21]


class TestIntoThePod:
    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("flags", [SYN | ACK, ACK, DATA, FIN | ACK, RST | ACK])
    def test_a_known_flow_goes_straight_in(self, fast: Bench, uplink: int, version: int, flags: int) -> None:
        opened(fast, version)
        (key, before), *_ = flows(fast).items()
        action, packet, mark = sent(fast, "tc_from_net", back(flags, version), uplink)
        assert (action, mark) == (TC_REDIRECT, 0)
        assert packet[:12] == POD_MAC + NODE_MAC
        assert packet[34 if version == 4 else 54 :] == back(flags, version)[34 if version == 4 else 54 :]
        assert hops(packet) == 63
        assert header_sum_holds(packet)
        assert flows(fast)[key].packets == before.packets + 1

    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("flags", [SYN | ACK, DATA, FIN | ACK, RST])
    def test_it_leaves_what_the_normal_way_leaves(self, fast: Bench, uplink: int, version: int, flags: int) -> None:
        """Conntrack and counters, byte by byte but for the times."""

        def journey(*, by_fast_path: bool) -> tuple[object, object]:
            fast.reset()
            fast.allow_all()
            fast.datapath.open_fast_path(FOREVER_S if by_fast_path else 0, [uplink])
            opened(fast, version)

            def work() -> None:
                action, _, _ = sent(fast, "tc_from_net", back(flags, version), uplink)
                assert action == (TC_REDIRECT if by_fast_path else TC_OK)
                if not by_fast_path:
                    assert fast.run("tc_to_pod", back(flags, version), came_in=uplink).passed

            grown = growth(fast, work)
            return grown, {k: (e.packets, e.bytes, e.flags, e.epoch) for k, e in flows(fast).items()}

        assert journey(by_fast_path=True) == journey(by_fast_path=False)

    def test_other_protocols_too(self, fast: Bench, uplink: int) -> None:
        assert fast.run("tc_from_pod", programs.frame(ADDRESS[4], WORLD_ADDRESS[4], UDP, programs.udp(5, 6))).passed
        answer = programs.frame(WORLD_ADDRESS[4], ADDRESS[4], UDP, programs.udp(6, 5))
        assert sent(fast, "tc_from_net", answer, uplink)[0] == TC_REDIRECT
        ping = programs.frame(ADDRESS[4], WORLD_ADDRESS[4], programs.ICMP, programs.echo(8, 77))
        assert fast.run("tc_from_pod", ping).passed
        pong = programs.frame(WORLD_ADDRESS[4], ADDRESS[4], programs.ICMP, programs.echo(0, 77))
        assert sent(fast, "tc_from_net", pong, uplink)[0] == TC_REDIRECT

    def normal(self, bench: Bench, uplink: int, packet: bytes) -> None:
        """Left to the stack, and as it was."""
        before = flows(bench)
        action, after, _ = sent(bench, "tc_from_net", packet, uplink)
        assert action == TC_OK
        assert after[12:] == packet[12:]
        assert flows(bench) == before

    @pytest.mark.parametrize(
        "packet",
        [
            pytest.param(back(SYN), id="first packet"),
            pytest.param(back(hops=1), id="last hop"),
            pytest.param(back(DATA, 6, hops=1), id="last hop of IPv6"),
            pytest.param(back(fragment=0x2000), id="first fragment"),
            pytest.param(back(fragment=0x0010), id="later fragment"),
            pytest.param(
                programs.frame(WORLD_ADDRESS[4], ADDRESS[4], TCP, bytes([1] * 4) + programs.tcp(80, 2000, DATA), ihl=6),
                id="options",
            ),
            pytest.param(
                programs.frame(
                    WORLD_ADDRESS[6], ADDRESS[6], 0, bytes([6, 0, 1, 4, 0, 0, 0, 0]) + programs.tcp(80, 2000, DATA)
                ),
                id="extension header",
            ),
            pytest.param(back()[:15] + b"\x10" + back()[16:], id="priority by type of service"),
            pytest.param(
                programs.frame(
                    WORLD_ADDRESS[4], ADDRESS[4], programs.ICMP, struct.pack(">BBHI", 3, 1, 0, 0) + out()[14:]
                ),
                id="ICMP error",
            ),
            pytest.param(
                programs.frame(WORLD_ADDRESS[4], ADDRESS[4], TCP, programs.tcp(81, 2000, DATA)), id="unknown flow"
            ),
            pytest.param(back(data=bytes(1600)), id="larger than the pod's link"),
        ],
    )
    def test_what_is_unusual_takes_the_normal_way(self, fast: Bench, uplink: int, packet: bytes) -> None:
        opened(fast)
        opened(fast, 6)
        self.normal(fast, uplink, packet)

    def test_so_does_everything_while_it_is_closed(self, fast: Bench, uplink: int) -> None:
        opened(fast)
        fast.datapath.open_fast_path(0, [uplink])
        self.normal(fast, uplink, back())
        fast.datapath.open_fast_path(FOREVER_S, [uplink])
        assert sent(fast, "tc_from_net", back(), uplink)[0] == TC_REDIRECT
        fast.datapath.open_fast_path(0.01, [uplink])
        time.sleep(0.02)
        self.normal(fast, uplink, back())  # nobody renewed it

    def test_so_does_a_flow_whose_policy_moved_on(self, fast: Bench, uplink: int) -> None:
        opened(fast)
        fast.endpoint(epoch=2)
        self.normal(fast, uplink, back())
        self.normal(fast, uplink, back(RST))

    def test_a_flow_of_the_proxys_goes_not_past_it(self, fast: Bench, uplink: int) -> None:
        opened(fast)
        ((key, entry),) = flows(fast).items()
        fast.datapath.tables.conntrack.put(key, replace(entry, flags=layouts.CT_PROXIED))
        seen = fast.run("tc_from_net", mac(uplink) + back()[6:], ifindex=uplink)
        assert seen.reason == layouts.DROP_PROXY_BYPASS
        assert flows(fast)[key].packets == entry.packets

    def test_so_does_a_flow_that_has_died(self, fast: Bench, uplink: int) -> None:
        opened(fast)
        ((key, entry),) = flows(fast).items()
        fast.datapath.tables.conntrack.put(key, replace(entry, expires_ns=1))
        self.normal(fast, uplink, back())

    def test_so_does_what_the_link_meant_for_someone_else(self, fast: Bench, uplink: int) -> None:
        opened(fast)
        assert fast.raw("tc_from_net", b"\x02" * 6 + back()[6:], ifindex=uplink).retval == TC_OK

    def test_so_does_a_pod_whose_interface_has_no_other_end(self, fast: Bench, uplink: int) -> None:
        opened(fast)
        fast.datapath._kernel_tables.veth.delete(fast.ifindex)
        self.normal(fast, uplink, back())

    @pytest.mark.parametrize("source", [PEER_ADDRESS[4], NODE_ADDRESS[4]], ids=["a pod", "the node"])
    def test_an_address_of_this_node_is_refused_whatever_flow_it_has(
        self, fast: Bench, uplink: int, source: Address
    ) -> None:
        ours = programs.frame(source, ADDRESS[4], TCP, programs.tcp(4000, 80))
        came_in = fast.peer_ifindex if source == PEER_ADDRESS[4] else 0
        assert fast.run("tc_to_pod", ours, came_in=came_in).passed
        lie = programs.frame(source, ADDRESS[4], TCP, programs.tcp(4000, 80, DATA))
        seen = fast.run("tc_from_net", mac(uplink) + lie[6:], ifindex=uplink)
        assert seen.reason == layouts.DROP_SPOOFED_FROM_NET


class TestOutOfTheNode:
    @pytest.mark.parametrize("version", [4, 6])
    def test_a_known_flow_is_sent_from_the_uplink(self, fast: Bench, version: int) -> None:
        opened(fast, version)
        grown = growth(fast, lambda: self.check(fast, out(DATA, version)))
        assert grown == {(layouts.DROP_NONE, EGRESS): (1, len(out(DATA, version)))}

    def check(self, bench: Bench, packet: bytes, action: int = TC_REDIRECT) -> None:
        seen, after, _ = sent(bench, "tc_from_pod", packet, bench.ifindex)
        assert seen == action
        assert hops(after) == (63 if action == TC_REDIRECT else hops(packet))
        assert header_sum_holds(after)

    @pytest.mark.parametrize(
        "packet",
        [
            pytest.param(out(SYN), id="first packet"),
            pytest.param(out(hops=1), id="last hop"),
            pytest.param(
                programs.frame(ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2000, 80, DATA) + bytes(1600)),
                id="larger than the uplink",
            ),
        ],
    )
    def test_what_is_unusual_is_routed(self, fast: Bench, packet: bytes) -> None:
        opened(fast)
        self.check(fast, packet, TC_OK)

    def test_an_interface_that_is_no_uplink_is_not_used(self, fast: Bench) -> None:
        opened(fast)
        fast.datapath.open_fast_path(FOREVER_S, [fast.peer_ifindex])
        self.check(fast, out(), TC_OK)

    def test_a_neighbour_that_is_not_known_is_asked_for_by_the_stack(self, fast: Bench, uplink: int) -> None:
        opened(fast)
        with IPRoute() as route:
            route.neigh("del", dst=GATEWAY[4], ifindex=uplink)
            try:
                self.check(fast, out(), TC_OK)
            finally:
                route.neigh("add", dst=GATEWAY[4], lladdr="02:00:00:00:00:99", ifindex=uplink, state="permanent")

    @pytest.mark.parametrize("target", [*NODE_ADDRESS.values(), *map(programs.ip_address, ("224.0.0.9", "240.1.2.3"))])
    def test_addresses_that_no_other_host_has(self, fast: Bench, target: Address) -> None:
        """The node's own, groups, reserved ones: the default route would take them all."""
        source = ADDRESS[target.version]
        for flags in (SYN, DATA):
            packet = programs.frame(source, target, UDP, programs.udp(1000, 53, bytes([flags])))
            action, _, _ = sent(fast, "tc_from_pod", packet, fast.ifindex)
            assert action == TC_OK

    def test_a_source_that_is_not_the_pods_is_still_refused(self, fast: Bench) -> None:
        opened(fast)
        lie = programs.frame(PEER_ADDRESS[4], WORLD_ADDRESS[4], TCP, programs.tcp(2000, 80, DATA))
        assert fast.run("tc_from_pod", mac(fast.ifindex) + lie[6:]).reason == layouts.DROP_SPOOFED_SOURCE


def across(flags: int = DATA, version: int = 4) -> bytes:
    return programs.frame(PEER_ADDRESS[version], ADDRESS[version], TCP, programs.tcp(2000, 80, flags))


class TestOnOneNode:
    """The bench's policy is the pod's; the peer has the same set."""

    def open(self, bench: Bench, version: int = 4) -> None:
        assert bench.run("tc_from_pod", across(SYN, version), ifindex=bench.peer_ifindex).passed
        assert bench.run("tc_to_pod", across(SYN, version), came_in=bench.peer_ifindex).passed

    def send(self, bench: Bench, packet: bytes) -> tuple[int, bytes]:
        action, after, _ = sent(bench, "tc_from_pod", packet, bench.peer_ifindex)
        return action, after

    @pytest.mark.parametrize("version", [4, 6])
    def test_known_on_both_sides_goes_straight_over(self, fast: Bench, version: int) -> None:
        self.open(fast, version)
        size = len(across(DATA, version))
        before = {key: entry.packets for key, entry in flows(fast).items()}

        def work() -> None:
            action, packet = self.send(fast, across(DATA, version))
            assert action == TC_REDIRECT
            assert packet[:12] == POD_MAC + NODE_MAC
            assert hops(packet) == 63
            assert header_sum_holds(packet)

        none = layouts.DROP_NONE
        assert growth(fast, work) == {(none, EGRESS): (1, size), (none, INGRESS): (1, size)}
        assert {key: entry.packets for key, entry in flows(fast).items()} == {k: n + 1 for k, n in before.items()}

    def test_so_does_the_answer(self, fast: Bench) -> None:
        self.open(fast)
        answer = programs.frame(ADDRESS[4], PEER_ADDRESS[4], TCP, programs.tcp(80, 2000, SYN | ACK))
        assert sent(fast, "tc_from_pod", answer, fast.ifindex)[0] == TC_REDIRECT
        assert all(entry.flags & layouts.CT_SEEN_REPLY for entry in flows(fast).values())

    def test_one_side_alone_is_not_enough(self, fast: Bench) -> None:
        self.open(fast)
        for number, direction in ((POD, INGRESS), (PEER, EGRESS)):
            held = flows(fast)
            (key,) = [key for key in held if (key.endpoint, key.direction) == (number, direction)]
            fast.datapath.tables.conntrack.delete(key)
            assert self.send(fast, across())[0] == TC_OK
            fast.datapath.tables.conntrack.put(key, held[key])

    @pytest.mark.parametrize("number", [POD, PEER])
    def test_a_policy_that_moved_on_at_either_side_is_asked(self, fast: Bench, number: int) -> None:
        self.open(fast)
        fast.endpoint(number=number, epoch=2)
        assert self.send(fast, across())[0] == TC_OK

    def test_the_proxys_side_is_the_proxys(self, fast: Bench) -> None:
        self.open(fast)
        (key,) = [key for key in flows(fast) if key.endpoint == POD]
        fast.datapath.tables.conntrack.put(key, replace(flows(fast)[key], flags=layouts.CT_PROXIED))
        assert self.send(fast, across())[0] == TC_OK
