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
    assert weft("conntrack", "list").stdout.splitlines()[1] == ("node-1  shop/client:40000  egress TCP  [fd00::3]:8080")
    back = ROW | {"direction": "ingress", "source": "fd00::3", "sport": 4, "destination": "10.1.0.2", "dport": 80}
    admin.node_answers = [{"node": "node-1", "json": [back]}]
    assert weft("conntrack", "list").stdout.splitlines()[1] == ("node-1  shop/client:80  ingress TCP  [fd00::3]:4")
    admin.node_answers = [{"node": "node-1", "json": [ROW]}]
    assert "10.1.0.2:40000  [fd00::3]:8080  replied,proxied" in weft("conntrack", "list", "-o", "wide").stdout
    assert json.loads(weft("conntrack", "list", "-o", "json").stdout) == [{"node": "node-1", **ROW}]
    assert "40000" in weft("conntrack", "list", "-o", "name").stdout
