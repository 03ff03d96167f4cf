"""status in words."""

from __future__ import annotations

from cli.statustext import missing, settled, status
from tests.unit.cli.samples import status as answer
from tests.unit.cli.samples import status_node


def test_a_settled_cluster_fits_eighty_columns() -> None:
    shown = status(answer(), colour=False, width=80)
    assert shown.splitlines() == [
        "Controller: serving, version 0.1.0, revision 17",
        "Settled:    yes, every node enforces the newest revision",
        "Objects:    7 Pod, 2 MeshPolicy",
        "",
        "NODE    STATE      ENFORCED  NEWEST  LAG  ENDPOINTS  PROXY    SEEN",
        "node-1  connected        17      17    0        4/4      1  1s ago",
        "node-2  connected        17      17    0        4/4      1  1s ago",
    ]
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_what_is_missing_is_named_node_by_node() -> None:
    unsettled = answer(
        status_node("a", enforced=16),
        status_node("b", state="away", ageSeconds=130),
        status_node("c", endpointsEnforced=3, warnings=["map ct is 91 % full"]),
        settled=False,
    )
    assert missing(unsettled) == [
        "node a: enforces revision 16, the newest is 17",
        (
            "node b: its agent is away, last heard 2m ago; it enforces what it has; if it is gone for good: "
            "weft delete node b"
        ),
        "node c: 1 of 4 endpoints are not enforced yet",
    ]
    shown = status(unsettled, colour=False, width=80)
    assert "Settled:    no, node a: enforces revision 16" in shown
    assert shown.endswith("Warnings:\n  c: map ct is 91 % full")
    assert not settled(unsettled)


def test_a_node_that_never_had_an_agent_is_told_from_one_that_is_away() -> None:
    unsettled = answer(
        status_node("a", state="away", enforced=0, ageSeconds=None, neverSeen=True),
        status_node("b", state="away", enforced=0, ageSeconds=None, neverSeen=False),
        settled=False,
    )
    assert missing(unsettled) == [
        "node a: it has joined, but its agent was never seen; start it there, or: weft delete node a",
        (
            "node b: its agent is away, not heard since the controller started; it enforces what it has; "
            "if it is gone for good: weft delete node b"
        ),
    ]
    lines = status(unsettled, colour=False, width=80).splitlines()
    assert lines[1:3] == [
        "Settled:    no, node a: it has joined, but its agent was never seen; start it",
        "            there, or: weft delete node a",
    ]
    assert [line.split()[-1] for line in lines[-2:]] == ["never", "-"]
    assert all(len(line) <= 80 for line in lines)


def test_a_source_that_cannot_be_read_is_said_even_when_settled() -> None:
    assert "Source:     not read: a.yaml: bad" in status(answer(sourceError="a.yaml: bad"), colour=False, width=None)


def test_what_was_said_about_a_source_is_a_warning() -> None:
    shown = status(answer(sourceWarnings=["m: Secret: passed by"]), colour=False, width=None)
    assert shown.endswith("Warnings:\n  source: m: Secret: passed by")


def test_a_revision_that_cannot_be_served_is_a_reason() -> None:
    found = missing({"controller": {"buildError": {"revision": 3, "reason": "too many identities"}}, "nodes": []})
    assert found[0] == "the newest revision cannot be served: too many identities; the one before stays in force"


def test_no_node_is_a_reason_too() -> None:
    assert "yes, no node has joined" in status({"settled": True}, colour=False, width=None)
    assert missing({"nodes": [], "settled": False}) == ["no node has an agent"]
