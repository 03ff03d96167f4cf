"""Programs on real interfaces, and rules and routes of a real namespace: replaced in place, told apart, taken away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
from pyroute2 import IPRoute

from agent.datapath import attach, libbpf, linkends, links, routes
from agent.datapath.attach import Filter, Hook, Program
from agent.datapath.links import LinkError
from agent.datapath.programs import pin_folder
from mesh import layouts
from tests.bpf import programs

ONE, OTHER = "test-hooks", "test-hooks-other"
ETH_P_ALL = 3


@pytest.fixture
def program(loaded: programs.Bench) -> Iterator[int]:
    fd = libbpf.obj_get(str(pin_folder("/sys/fs/bpf", programs.INSTANCE) / "progs" / "tc_from_pod"))
    yield fd
    os.close(fd)


@pytest.fixture
def interface(loaded: programs.Bench) -> Iterator[int]:
    with IPRoute() as route:
        route.link("add", ifname="hook0", kind="veth", peer="hook1")
        index = route.link_lookup(ifname="hook0")[0]
        yield index
        route.link("del", index=index)


def kinds(ifindex: int) -> set[str]:
    with IPRoute() as route:
        return {qdisc.get_attr("TCA_KIND") for qdisc in route.get_qdiscs(ifindex)}


def test_a_newer_program_takes_the_place_of_the_older_one(interface: int, program: int) -> None:
    old, new = Program(ONE, "tc_from_pod", 7), Program(ONE, "tc_from_pod", 8)
    assert attach.missing([(interface, Hook.INGRESS, old)]) == [f"tc_from_pod on hook0 (ifindex {interface})"]
    attach.attach(interface, Hook.INGRESS, old, program)
    assert attach.missing([(interface, Hook.INGRESS, old)]) == []
    attach.attach(interface, Hook.INGRESS, new, program)
    assert attach.filters(interface, Hook.INGRESS) == [Filter(new.filter_name, 1, 1)]
    assert attach.filters(interface, Hook.EGRESS) == []
    assert attach.missing([(interface, Hook.INGRESS, new)]) == []
    assert "another version" in attach.missing([(interface, Hook.INGRESS, old)])[0]


def test_the_ends_of_a_veth_are_known_where_the_other_is_in_another_namespace(
    loaded: programs.Bench, interface: int
) -> None:
    assert linkends.veth(interface) is None
    subprocess.run(["ip", "netns", "add", "weft-test-ends"], check=True)
    try:
        subprocess.run(["ip", "link", "set", "hook1", "netns", "weft-test-ends"], check=True)
        subprocess.run(
            ["ip", "-netns", "weft-test-ends", "link", "set", "hook1", "address", "06:00:00:00:00:05"], check=True
        )
        ends = linkends.veth(interface)
        assert ends is not None
        assert bytes(ends.pod_mac).hex(":") == "06:00:00:00:00:05"
        with IPRoute() as route:
            assert bytes(ends.node_mac).hex(":") == route.get_links(interface)[0].get_attr("IFLA_ADDRESS")
        known = loaded.datapath._kernel_tables.veth
        loaded.datapath.attach_pod(interface)
        assert bytes(known.get(interface) or b"") == bytes(ends)
        loaded.datapath.detach_pod(interface)
        assert known.get(interface) is None
    finally:
        home = ["ip", "-netns", "weft-test-ends", "link", "set", "hook1", "netns", str(os.getpid())]
        subprocess.run(home, check=True)
        subprocess.run(["ip", "netns", "del", "weft-test-ends"], check=True)


def test_what_is_known_of_a_veth_goes_with_it(loaded: programs.Bench) -> None:
    known = loaded.datapath._kernel_tables.veth
    known.put(999_999, layouts.VethEntry())
    loaded.datapath.detach_pod(999_999)
    assert known.get(999_999) is None


def test_pyroute2_sees_the_filter_as_it_was_meant(interface: int, program: int) -> None:
    attach.attach(interface, Hook.EGRESS, Program(ONE, "tc_to_pod", 7), program)
    with IPRoute() as route:
        rows = [row for row in route.get_filters(interface, parent=int(Hook.EGRESS)) if row["handle"]]
    assert len(rows) == 1
    options = rows[0].get_attr("TCA_OPTIONS")
    assert options.get_attr("TCA_BPF_NAME") == f"weft:{ONE}:tc_to_pod:7"
    assert options.get_attr("TCA_BPF_FLAGS") == 1
    assert (rows[0]["info"] >> 16, rows[0]["info"] & 0xFFFF) == (1, 0x0300)


def test_a_program_that_runs_before_ours_is_told(interface: int, program: int) -> None:
    ours = Program(ONE, "tc_from_pod", 7)
    attach.attach(interface, Hook.INGRESS, ours, program)
    with IPRoute() as route:
        # of equal priority, the kernel asks the one that came last first
        route.tc("add-filter", "bpf", interface, handle=9, parent=int(Hook.INGRESS), prio=1, protocol=ETH_P_ALL,
                 fd=program, name="stranger", direct_action=True)  # fmt: skip
    assert "stranger runs before it" in attach.missing([(interface, Hook.INGRESS, ours)])[0]


def test_an_instance_takes_away_its_own_and_no_more(interface: int, program: int) -> None:
    attach.attach(interface, Hook.INGRESS, Program(ONE, "tc_from_pod", 7), program)
    attach.attach(interface, Hook.EGRESS, Program(OTHER, "tc_to_pod", 8), program)
    assert attach.attached_interfaces([1, interface], ONE) == [interface]
    attach.detach(interface, ONE)
    assert attach.filters(interface, Hook.INGRESS) == []
    assert [one.name for one in attach.filters(interface, Hook.EGRESS)] == [f"weft:{OTHER}:tc_to_pod:8"]
    assert attach.in_use([interface])
    attach.detach(interface, OTHER)
    assert not attach.in_use([interface])
    assert "clsact" not in kinds(interface)
    attach.detach(interface, OTHER)


def test_one_hook_can_be_given_up_alone(interface: int, program: int) -> None:
    attach.attach(interface, Hook.INGRESS, Program(ONE, "tc_from_guest", 7), program)
    attach.attach(interface, Hook.EGRESS, Program(ONE, "tc_to_pod", 8), program)
    attach.remove(interface, Hook.EGRESS, ONE)
    assert [one.name for one in attach.filters(interface, Hook.INGRESS)] == [f"weft:{ONE}:tc_from_guest:7"]
    assert attach.filters(interface, Hook.EGRESS) == []
    attach.remove(interface, Hook.EGRESS, ONE)
    attach.remove(999_999, Hook.EGRESS, ONE)


def test_an_ingress_qdisc_of_someone_else_is_left_alone(interface: int, program: int) -> None:
    with IPRoute() as route:
        route.tc("add", "ingress", interface)
    with pytest.raises(LinkError, match="someone else"):
        attach.attach(interface, Hook.INGRESS, Program(ONE, "tc_from_pod", 7), program)
    attach.detach(interface, ONE)
    assert "ingress" in kinds(interface)


def test_an_interface_that_is_gone_has_no_hooks(program: int) -> None:
    assert attach.filters(999_999, Hook.INGRESS) == []
    attach.detach(999_999, ONE)
    with pytest.raises(LinkError, match="No such device"):
        attach.attach(999_999, Hook.INGRESS, Program(ONE, "tc_from_pod", 7), program)


def test_redirected_packets_come_home_while_rules_and_routes_stand(loaded: programs.Bench) -> None:
    mark, mask = 0x40, 0xF0
    assert not links.prepared(mark, mask)
    links.prepare(mark, mask)
    links.prepare(mark, mask)
    assert links.prepared(mark, mask)
    assert not links.prepared(mark, 0xFF)
    with IPRoute() as route:
        route.flush_routes(table=links.LOCAL_TABLE, family=links.FAMILIES[0])
    assert not links.prepared(mark, mask)
    links.prepare(mark, mask)
    assert links.prepared(mark, mask)
    links.restore(mark, mask)
    assert not links.prepared(mark, mask)
    with IPRoute() as route:
        assert not any(routes._rules(route, family, mark, mask) for family in links.FAMILIES)
    links.restore(mark, mask)
