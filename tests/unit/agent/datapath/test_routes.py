"""The process that makes rules and routes, on a netlink that remembers (for real: tests/bpf)."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from agent.datapath import routes

ARGUMENTS = ["--mark", "16", "--mask", "240"]


class Rule(dict[str, int]):
    def get_attr(self, name: str) -> int | None:
        return self.get(name)


class Netlink:
    """One network namespace."""

    def __init__(self) -> None:
        self.rules: list[tuple[int, Rule]] = []
        self.routes: set[int] = set()
        self.refuses: int | None = None

    def __call__(self) -> Netlink:
        return self

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def link(self, _work: str, **_how: Any) -> None:
        if self.refuses is not None:
            raise NetlinkError(self.refuses, "Operation not permitted")

    def get_rules(self, family: int) -> list[Rule]:
        return [rule for held, rule in self.rules if held == family]

    def rule(self, work: str, *, family: int, fwmark: int, fwmask: int, table: int, priority: int) -> None:
        entry = (family, Rule(FRA_FWMARK=fwmark, FRA_FWMASK=fwmask, FRA_TABLE=table))
        if work == "add":
            self.rules.append(entry)
        else:
            self.rules.remove(entry)

    def route(self, work: str, *, family: int, **_how: Any) -> None:
        if (family in self.routes) == (work == "add"):
            raise NetlinkError(errno.EEXIST if work == "add" else errno.ESRCH, "as it is")
        (self.routes.add if work == "add" else self.routes.remove)(family)


@pytest.fixture
def netlink(monkeypatch: pytest.MonkeyPatch) -> Netlink:
    made = Netlink()
    monkeypatch.setattr(routes, "IPRoute", made)
    return made


def test_preparing_twice_is_preparing_once(netlink: Netlink) -> None:
    assert routes.main(["prepare", *ARGUMENTS]) == 0
    assert routes.main(["prepare", *ARGUMENTS]) == 0
    assert len(netlink.rules) == 2
    assert len(netlink.routes) == 2


def test_restoring_takes_all_of_it_and_nothing_of_others(netlink: Netlink) -> None:
    other = (routes.FAMILIES[0], Rule(FRA_FWMARK=16, FRA_FWMASK=0xFF, FRA_TABLE=routes.LOCAL_TABLE))
    netlink.rules.append(other)
    routes.main(["prepare", *ARGUMENTS])
    assert routes.main(["restore", *ARGUMENTS]) == 0
    assert routes.main(["restore", *ARGUMENTS]) == 0
    assert netlink.rules == [other]
    assert netlink.routes == set()


def test_a_refusal_is_a_sentence_and_exit_status_1(netlink: Netlink, capsys: pytest.CaptureFixture[str]) -> None:
    netlink.refuses = errno.EPERM
    assert routes.main(["prepare", *ARGUMENTS]) == 1
    assert "routes:" in capsys.readouterr().err
