"""weft status."""

from __future__ import annotations

import json

import pytest

from cli.commands import status
from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "POLL_INTERVAL_S", 0)


def test_json_is_the_controllers_answer(weft: Weft, admin: FakeAdmin) -> None:
    admin.status = samples.status()
    assert json.loads(weft("status", "-o", "json").stdout) == samples.status()
    assert weft("status", "-o", "name").stdout == "node-1\nnode-2\n"


def test_an_unsettled_cluster_is_no_failure_unless_one_waits(weft: Weft, admin: FakeAdmin) -> None:
    admin.status = samples.status(samples.status_node(enforced=3), settled=False)
    assert weft("status").exit_code == 0
    done = weft("status", "--wait", "0")
    assert done.exit_code == 1
    assert "not settled after 0 s: node node-1: enforces revision 3, the newest is 17" in done.stderr


def test_who_was_waited_for_is_named_and_what_to_do(weft: Weft, admin: FakeAdmin) -> None:
    never = samples.status_node("node-9", state="away", enforced=0, ageSeconds=None, neverSeen=True)
    admin.status = samples.status(never, settled=False)
    assert weft("status", "--wait", "0").stderr == (
        "weft: not settled after 0 s: node node-9: it has joined, but its agent was never seen; start it there, or: "
        "weft delete node node-9\n"
    )
    admin.status = samples.status(never, samples.status_node(enforced=3), settled=False)
    assert weft("status", "--wait", "0").stderr.splitlines() == [
        "weft: not settled after 0 s:",
        "  node node-9: it has joined, but its agent was never seen; start it there, or: weft delete node node-9",
        "  node node-1: enforces revision 3, the newest is 17",
    ]


def test_waiting_ends_when_it_is_settled(weft: Weft, admin: FakeAdmin) -> None:
    admin.statuses = [samples.status(settled=False), samples.status(settled=False)]
    admin.status = samples.status()
    done = weft("status", "--wait", "20")
    assert (done.exit_code, len(admin.requests)) == (0, 3)
    assert "Settled:    yes" in done.stdout


def test_waiting_takes_a_span_and_refuses_nonsense(weft: Weft) -> None:
    assert weft("status", "--wait", "1m").exit_code == 0
    assert weft("status", "--wait", "soon").exit_code == 2


def test_a_controller_that_never_comes_is_three(weft_alone: Weft) -> None:
    assert weft_alone("--controller", "unix:/nobody/here", "status", "--wait", "0").exit_code == 3
