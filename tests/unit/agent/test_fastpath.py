"""When the fast path is open, and what is said where it is not."""

from __future__ import annotations

import pytest

from agent.datapath.fake import FakeDatapath
from agent.datapath.interface import DatapathError
from agent.fastpath import LEASE_S, FastPath


@pytest.fixture
def datapath() -> FakeDatapath:
    return FakeDatapath()


def test_it_opens_for_a_while_where_nothing_speaks_against_it(datapath: FakeDatapath) -> None:
    path = FastPath(datapath, wanted=True)
    assert path.warnings
    path.look([11], [2])
    assert (datapath.fast_path, path.closed, path.warnings) == ((LEASE_S, [2]), "", ())


def test_an_obstacle_closes_it_at_once_and_is_named(datapath: FakeDatapath) -> None:
    path = FastPath(datapath, wanted=True)
    path.look([11], [2])
    datapath.obstacles = ["iptables table nat"]
    path.look([11], [2])
    assert datapath.fast_path == (0, [2])
    assert path.warnings == ("the fast path is closed: iptables table nat",)
    datapath.obstacles = []
    path.look([11], [2])
    assert path.warnings == ()


def test_a_long_list_is_cut(datapath: FakeDatapath) -> None:
    datapath.obstacles = list("abcde")
    path = FastPath(datapath, wanted=True)
    path.look([], [])
    assert path.closed == "a, b, c and 2 more"


def test_switched_off_is_no_warning(datapath: FakeDatapath) -> None:
    path = FastPath(datapath, wanted=False)
    path.look([11], [2])
    assert datapath.fast_path == (0, [2])
    assert (path.closed, path.warnings) == ("--fast-path off", ())


def test_what_cannot_be_told_opens_nothing(datapath: FakeDatapath, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*, pods: list[int]) -> list[str]:
        raise DatapathError("netlink: no buffer space")

    monkeypatch.setattr(datapath, "fast_path_obstacles", refuse)
    path = FastPath(datapath, wanted=True)
    path.look([], [2])
    assert datapath.fast_path == (0, [2])
    assert path.closed == "netlink: no buffer space"
