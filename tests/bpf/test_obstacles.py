"""What the fast path would miss on a node, made for real: each is found, named, and gone again."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pyroute2.nftables.main import NFTables

from agent.datapath import obstacles
from tests.bpf.programs import Bench

_GET_INFO = 64
"""IPT_SO_GET_INFO: what `iptables -L` asks first. It makes the table."""


@pytest.fixture(autouse=True)
def forwarding(loaded: Bench) -> None:
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", name).write_text("1")


def ip(words: str) -> None:
    subprocess.run(words.split(), check=True)


@contextmanager
def there(make: str, undo: str) -> Iterator[None]:
    ip(make)
    try:
        yield
    finally:
        ip(undo)


@contextmanager
def chain(hook: str) -> Iterator[None]:
    nft = NFTables(nfgen_family=2)
    try:
        nft.table("add", name="firewall")
        nft.chain("add", table="firewall", name="rules", hook=hook, type="filter", policy=1)
        yield
        nft.table("del", name="firewall")
    finally:
        nft.close()


@contextmanager
def forwarding_off() -> Iterator[None]:
    path = Path("/proc/sys/net/ipv4/ip_forward")
    path.write_text("0")
    yield
    path.write_text("1")


def test_an_empty_namespace_has_none(bench: Bench) -> None:
    assert obstacles.find([bench.ifindex, bench.peer_ifindex]) == []


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: chain("forward"), "nftables chain ip firewall/rules (forward)"),
        (lambda: chain("prerouting"), "nftables chain ip firewall/rules (prerouting)"),
        (lambda: chain("postrouting"), "nftables chain ip firewall/rules (postrouting)"),
        (forwarding_off, "net/ipv4/ip_forward is 0"),
        (
            lambda: there("ip rule add from 10.1.0.0/16 table 77", "ip rule del from 10.1.0.0/16 table 77"),
            "routing rule 32765 (table 77)",
        ),
        (
            lambda: there("ip -6 rule add fwmark 9 table 78", "ip -6 rule del fwmark 9 table 78"),
            "routing rule 32765 (table 78)",
        ),
        (
            lambda: there("ip route add local 10.66.0.0/16 dev lo", "ip route del local 10.66.0.0/16 dev lo"),
            "local route to 10.66.0.0/16",
        ),
        (
            lambda: there("ip -6 route add local fd66::1 dev lo", "ip -6 route del local fd66::1 dev lo"),
            "local route to fd66::1/128",
        ),
        (
            lambda: there(
                "ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd action block",
                "ip xfrm policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd",
            ),
            "IPsec policies",
        ),
        (
            lambda: there("tc qdisc add dev pod0 root pfifo limit 9", "tc qdisc del dev pod0 root"),
            "queue pfifo on pod0",
        ),
    ],
)
def test_each_is_found(bench: Bench, make: Callable[[], AbstractContextManager[None]], text: str) -> None:
    with make():
        assert obstacles.find([bench.ifindex]) == [text]
    assert obstacles.find([bench.ifindex]) == []


@pytest.mark.parametrize("hook", ["input", "output"])
def test_a_firewall_of_the_node_itself_is_none(bench: Bench, hook: str) -> None:
    with chain(hook):
        assert obstacles.find([]) == []


def test_a_queue_on_another_interface_is_none(bench: Bench) -> None:
    with there("tc qdisc add dev peer1 root pfifo limit 9", "tc qdisc del dev peer1 root"):
        assert obstacles.find([bench.ifindex, bench.peer_ifindex]) == []


def test_tables_of_iptables_are_named_and_stay(loaded: Bench) -> None:
    """In a thread with a namespace of its own: nothing takes the table away again."""
    ip("ip netns add weft-test-obstacles")
    try:
        code = f"import {__name__} as t; t.use_iptables()"
        words = ["ip", "netns", "exec", "weft-test-obstacles", sys.executable, "-c", code]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    finally:
        ip("ip netns del weft-test-obstacles")
    assert "iptables table filter" in done.stdout


def use_iptables() -> None:
    """Prints what is found after `iptables -L` would have looked."""
    library = ctypes.CDLL(None, use_errno=True)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        info = ctypes.create_string_buffer(b"filter", 84)
        size = ctypes.c_uint32(len(info))
        if library.getsockopt(sock.fileno(), socket.IPPROTO_IP, _GET_INFO, info, ctypes.byref(size)):
            raise OSError(ctypes.get_errno(), "IPT_SO_GET_INFO")
    print(obstacles.find([]))
