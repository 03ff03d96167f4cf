"""What single rows of the kernel's answers mean. (Obstacles made for real: tests/bpf/test_obstacles.py.)"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from agent.datapath import obstacles
from agent.datapath.rtnetlink import Refused, attribute, number


def chain(family: int, hook: int | None) -> bytes:
    body = struct.pack(">BBH", family, 0, 0) + attribute(1, b"t\0") + attribute(3, b"c\0")
    return body if hook is None else body + attribute(4, attribute(1, struct.pack(">I", hook)))


@pytest.mark.parametrize(
    ("family", "hook", "text"),
    [
        (2, 0, "nftables chain ip t/c (prerouting)"),
        (10, 2, "nftables chain ip6 t/c (forward)"),
        (1, 4, "nftables chain inet t/c (postrouting)"),
        (1, 5, "nftables chain inet t/c (ingress)"),
        (5, 0, "nftables chain netdev t/c (ingress)"),
        (5, 1, "nftables chain netdev t/c (ingress)"),
        (1, 9, "nftables chain inet t/c (9)"),
        (2, 1, ""),
        (2, 3, ""),
        (2, None, ""),
        (3, 0, ""),
        (7, 2, ""),
    ],
)
def test_a_chain_counts_where_forwarded_packets_meet_it(family: int, hook: int | None, text: str) -> None:
    assert obstacles.chain(chain(family, hook)) == text


def rule(table: int, *, action: int = 1, flags: int = 0, from_bits: int = 0, more: bytes = b"") -> bytes:
    head = struct.pack("=BBBBBBBBI", 2, 0, from_bits, 0, table & 0xFF, 0, 0, action, flags)
    return head + number(15, table) + number(6, 5) + number(14, 0xFFFFFFFF) + attribute(21, b"\2") + more


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (rule(255), False),
        (rule(254), False),
        (rule(253), False),
        (rule(2005, more=number(10, 0x10) + number(16, 0xF0)), False),
        (rule(77), True),
        (rule(254, more=number(10, 1)), True),
        (rule(254, from_bits=16), True),
        (rule(254, action=6), True),
        (rule(254, flags=2), True),
        (rule(254, more=number(14, 0)), True),
    ],
)
def test_a_rule_counts_where_it_can_lead_elsewhere(body: bytes, found: bool) -> None:
    assert bool(obstacles.rule(body)) == found


def route(family: int, bits: int, kind: int, address: bytes, table: int = 255) -> bytes:
    head = struct.pack("=BBBBBBBBI", family, bits, 0, 0, table, 2, 0, kind, 0)
    return head + number(15, table) + attribute(1, address) + number(4, 1)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (route(2, 32, 2, b"\x0a\0\0\1"), ""),
        (route(2, 8, 2, b"\x7f\0\0\0"), ""),
        (route(2, 32, 3, b"\x0a\0\0\xff"), ""),
        (route(2, 16, 2, b"\x0a\x42\0\0"), "local route to 10.66.0.0/16"),
        (route(2, 16, 2, b"\x0a\x42\0\0", table=254), ""),
        (route(10, 128, 2, bytes(15) + b"\1"), ""),
        (route(10, 128, 2, bytes(15) + b"\2"), "local route to ::2/128"),
        (route(10, 64, 2, b"\xfd" + bytes(15)), "local route to fd00::/64"),
        (route(10, 8, 5, b"\xff" + bytes(15)), ""),
    ],
)
def test_a_local_route_counts_where_it_is_for_more_than_the_nodes_addresses(body: bytes, text: str) -> None:
    assert obstacles.local_route(body, {"0" * 31 + "1"}) == text


def test_files_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstacles, "PROC", tmp_path)
    assert obstacles._iptables() == obstacles._ipvs() == []
    (tmp_path / "ip_tables_names").write_text("nat\nfilter\n")
    (tmp_path / "ip6_tables_names").write_text("raw\n")
    (tmp_path / "ip_vs").write_text("head\nhead\nhead\nTCP  0A600001:0050 rr\n")
    assert obstacles._iptables() == ["iptables table nat", "iptables table filter", "ip6tables table raw"]
    assert obstacles._ipvs() == ["IPVS services"]


def test_what_cannot_be_asked_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[str]:
        raise Refused(1)

    monkeypatch.setattr(obstacles, "_netfilter_programs", refuse)
    assert "cannot tell about netfilter programs: Operation not permitted" in obstacles.find([])
