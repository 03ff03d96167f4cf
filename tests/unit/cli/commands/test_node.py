"""weft node list."""

from __future__ import annotations

import json

from cli.commands.node import combine
from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft


def test_agents_and_node_objects_are_joined() -> None:
    rows = combine(samples.status(samples.status_node("node-1")), [samples.node(), samples.node("node-9")])
    assert [(row["name"], row["state"]) for row in rows] == [("node-1", "connected"), ("node-9", "no agent")]
    assert rows[0]["podCIDRs"] == ["10.1.0.0/24", "fd00:1::/64"]
    assert rows[0]["addresses"] == ["192.168.7.2"]


def test_the_table(weft: Weft, admin: FakeAdmin) -> None:
    admin.status = samples.status()
    admin.objects = [samples.node()]
    lines = weft("node", "list").stdout.splitlines()
    assert lines[0] == "NODE    STATE      ENFORCED  NEWEST  LAG  ENDPOINTS  PROXY    SEEN"
    assert len(json.loads(weft("node", "list", "-o", "json").stdout)) == 2
