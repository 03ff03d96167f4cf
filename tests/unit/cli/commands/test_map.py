"""weft map dump."""

from __future__ import annotations

import json

from cli.commands.map import fields
from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft

ENTRIES = [{"key": {"prefix": "10.1.0.2/32"}, "value": {"identity": 256, "flags": 0}}]


def test_entries_of_a_map(weft: Weft, admin: FakeAdmin) -> None:
    admin.node_answers = [{"node": "node-1", "json": {"entries": ENTRIES}}, {"node": "node-2", "json": []}]
    assert weft("map", "dump", "ipcache").stdout == (
        "NODE    KEY                 VALUE\nnode-1  prefix=10.1.0.2/32  identity=256 flags=0\n"
    )
    assert json.loads(weft("map", "dump", "ipcache", "--node", "node-1", "-o", "json").stdout) == [
        {"node": "node-1", **ENTRIES[0]},
    ]
    assert (admin.requests[1].node, json.loads(admin.requests[1].arguments)) == ("node-1", {"name": "ipcache"})


def test_fields_of_any_shape() -> None:
    assert fields({"a": 1, "b": [1, 2]}) == "a=1 b=[1, 2]"
    assert fields(7) == "7"
    assert fields(None) == ""
