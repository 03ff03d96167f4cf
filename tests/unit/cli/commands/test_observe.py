"""weft observe."""

from __future__ import annotations

import json

import pytest

from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft


@pytest.fixture(autouse=True)
def flows(admin: FakeAdmin) -> None:
    admin.flows = [samples.flow(), samples.flow(id="node-1/2", verdict="allow")]


def test_lines_for_people(weft: Weft) -> None:
    lines = weft("observe").stdout.splitlines()
    assert len(lines) == 2
    assert " DENY  shop/client -> shop/payments:8080 TCP POST /charge 403 " in lines[0]


def test_documents_for_programs(weft: Weft, admin: FakeAdmin) -> None:
    assert json.loads(weft("observe", "-o", "json").stdout) == admin.flows
    assert [json.loads(line) for line in weft("observe", "-o", "jsonl").stdout.splitlines()] == admin.flows
    assert [json.loads(line) for line in weft("observe", "-f", "-o", "json").stdout.splitlines()] == admin.flows
    assert weft("observe", "-o", "name").stdout == "node-1/1\nnode-1/2\n"
    assert weft("observe", "-o", "yaml").stdout.startswith("- id: node-1/1")


def test_nothing_seen_is_an_empty_array(weft: Weft, admin: FakeAdmin) -> None:
    admin.flows = []
    assert json.loads(weft("observe", "-o", "json").stdout) == []
    assert weft("observe").stdout == ""


def test_a_gap_is_said_beside_the_records(weft: Weft, admin: FakeAdmin) -> None:
    admin.flows = [samples.flow(), {"lost": 7}, samples.flow()]
    done = weft("observe", "-f", "-o", "jsonl")
    assert len(done.stdout.splitlines()) == 2
    assert "7 records were lost" in done.stderr


def test_filters_travel(weft: Weft, admin: FakeAdmin) -> None:
    weft(
        "observe",
        "--since",
        "1h",
        "--from",
        "shop/client",
        "--to",
        "10.0.0.0/8",
        "--verdict",
        "deny",
        "--http-status",
        "403",
        "--http-status",
        "5XX",
        "--limit",
        "5",
        "-n",
        "shop",
    )
    asked = admin.requests[0]
    assert (asked.source, asked.destination, asked.verdict, asked.limit, asked.namespace, asked.follow) == (
        "shop/client",
        "10.0.0.0/8",
        "deny",
        5,
        "shop",
        False,
    )
    assert list(asked.http_status) == ["403", "5xx"]
    assert asked.since_ns > 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    "wrong",
    [("--http-status", "600"), ("--http-status", "4x"), ("--since", "soon"), ("--verdict", "no"), ("--limit", "0")],
)
def test_usage(weft: Weft, admin: FakeAdmin, wrong: tuple[str, ...]) -> None:
    assert weft("observe", *wrong).exit_code == 2
    assert admin.requests == []


def test_silence_is_explained(weft: Weft, admin: FakeAdmin) -> None:
    admin.flows = []
    admin.objects = [samples.pod("ghost")]
    done = weft("observe", "--from", "shop/ghost")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("no flow is recorded that matches")
    assert weft("observe", "-o", "jsonl").stderr == ""


def test_a_name_that_nobody_has_is_said_but_not_refused(weft: Weft, admin: FakeAdmin) -> None:
    """A pod that has gone may still be in records."""
    admin.flows = []
    admin.objects = [samples.pod("payments-x-0")]
    done = weft("observe", "--from", "shop/payments", "-o", "jsonl")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        "weft: no pod, account or Service shop/payments is there now; pods that begin like it: shop/payments-x-0\n"
    )
    for other in ("10.0.0.0/8", "fd00::/8", "shop/"):
        assert weft("observe", "--to", other, "-o", "jsonl").stderr == ""


def test_a_time_that_is_none_names_its_option(weft: Weft) -> None:
    done = weft("observe", "--since", "yesterday")
    assert done.exit_code == 2
    assert "Invalid value for '--since': 'yesterday' is no span of time; write for example 30s, 5m" in done.stderr
    assert "or a time such as 2026-01-31T12:00:00Z" in done.stderr
