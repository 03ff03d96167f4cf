"""Interfaces, sysctls and whether redirected packets come home (for real: tests/bpf); here what needs no root."""

from __future__ import annotations

import errno
import socket
import struct
import subprocess
from typing import Any

import pytest

from agent.datapath import links
from agent.datapath.rtnetlink import Refused, attribute, number

MARK, MASK = 0x10, 0xF0
RTMSG = struct.Struct("=BBBBBBBBI")


class Kernel:
    """Answers about rules and routes, as far as it has them."""

    def __init__(self, *, rules: dict[int, tuple[int, int, int]], at_home: set[int]) -> None:
        self.rules = rules
        self.at_home = at_home

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def dump(self, _kind: int, body: bytes) -> list[bytes]:
        rules = [RTMSG.pack(body[0], 0, 0, 0, 254, 0, 0, 1, 0) + number(15, 254)]
        if body[0] in self.rules:
            mark, mask, table = self.rules[body[0]]
            rules.append(
                RTMSG.pack(body[0], 0, 0, 0, 0, 0, 0, 1, 0) + number(15, table) + number(10, mark) + number(16, mask)
            )
        return rules

    def get(self, _kind: int, body: bytes) -> bytes:
        if body[0] not in self.at_home:
            raise Refused(errno.ENETUNREACH)
        return RTMSG.pack(body[0], 32, 0, 0, 0, 0, 0, links.RTN_LOCAL, 0) + number(15, links.LOCAL_TABLE)


BOTH = set(links.FAMILIES)
OURS = (MARK, MASK, links.LOCAL_TABLE)


@pytest.mark.parametrize(
    ("rules", "at_home", "holds"),
    [
        (dict.fromkeys(links.FAMILIES, OURS), BOTH, True),
        ({socket.AF_INET: OURS}, BOTH, False),
        (dict.fromkeys(links.FAMILIES, OURS), {socket.AF_INET}, False),
        (dict.fromkeys(links.FAMILIES, (MARK, 0xFF, links.LOCAL_TABLE)), BOTH, False),
        (dict.fromkeys(links.FAMILIES, (MARK, MASK, 254)), BOTH, False),
        ({}, set(), False),
    ],
)
def test_prepared_means_every_rule_and_that_packets_come_home(
    rules: dict[int, tuple[int, int, int]], at_home: set[int], holds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "Rtnetlink", lambda: Kernel(rules=rules, at_home=at_home))
    assert links.prepared(MARK, MASK) is holds


def test_what_is_prepared_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(links, "SYSCTLS", {})
    monkeypatch.setattr(links, "_routes", lambda *work: started.append(work))
    monkeypatch.setattr(links, "prepared", lambda _mark, _mask: True)
    links.prepare(MARK, MASK)
    assert started == []
    monkeypatch.setattr(links, "prepared", lambda _mark, _mask: False)
    links.prepare(MARK, MASK)
    assert started == [("prepare", MARK, MASK)]


def test_a_failure_of_the_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[-5:] == ["restore", "--mark", "16", "--mask", "240"]
        return subprocess.CompletedProcess(command, 1, "", "routes: not permitted\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(links.LinkError, match="not permitted"):
        links.restore(MARK, MASK)


def test_interfaces_that_are_gone_are_named() -> None:
    with pytest.raises(links.LinkError, match="999999"):
        links.interface_name(999_999)
    assert links.interface_name(1) == "lo"


def test_a_sysctl_that_does_not_exist_is_no_fault() -> None:
    links.write_sysctl("net/ipv9/forwarding", "1")


def test_the_question_about_a_route_names_mark_and_destination() -> None:
    asked: list[bytes] = []

    class Recorder(Kernel):
        def get(self, kind: int, body: bytes) -> bytes:
            asked.append(body)
            return super().get(kind, body)

    kernel: Any = Recorder(rules={}, at_home=BOTH)
    assert links._at_home(kernel, socket.AF_INET, MARK)
    assert attribute(1, socket.inet_aton("192.0.2.1")) + number(16, MARK) == asked[0][RTMSG.size :]
