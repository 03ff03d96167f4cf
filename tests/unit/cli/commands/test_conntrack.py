"""weft conntrack list."""

from __future__ import annotations

import json

from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft

ROW = {
    "endpoint": "shop/client",
    "direction": "egress",
    "protocol": "TCP",
    "source": "10.1.0.2",
    "sport": 40000,
    "destination": "fd00::3",
    "dport": 8080,
    "flags": ["replied", "proxied"],
}


def test_flows_of_all_nodes(weft: Weft, admin: FakeAdmin) -> None:
    admin.node_answers = [{"node": "node-1", "json": [ROW]}]
    assert weft("conntrack", "list").stdout.splitlines()[1] == (
        "node-1  shop/client  egress  TCP    10.1.0.2:40000  [fd00::3]:8080  replied,proxied"
    )
    assert json.loads(weft("conntrack", "list", "-o", "json").stdout) == [{"node": "node-1", **ROW}]
    assert "40000" in weft("conntrack", "list", "-o", "name").stdout
