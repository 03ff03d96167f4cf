"""weft endpoint list."""

from __future__ import annotations

import json

from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft

ROW = {"namespace": "shop", "pod": "client", "state": "enforced", "identities": [256], "ips": ["10.1.0.2", "fd00::2"]}


def test_endpoints_of_all_nodes(weft: Weft, admin: FakeAdmin) -> None:
    admin.node_answers = [{"node": "node-1", "json": {"endpoints": [ROW]}}, {"node": "node-2", "json": []}]
    assert weft("endpoint", "list").stdout == (
        "NAMESPACE  POD     NODE    STATE     IDENTITY  IPS\n"
        "shop       client  node-1  enforced       256  10.1.0.2,fd00::2\n"
    )
    assert json.loads(weft("endpoint", "list", "-o", "json").stdout) == [{"node": "node-1", **ROW}]
    assert weft("endpoint", "list", "-o", "name").stdout == "shop/client\n"
    assert admin.requests[0].name == "endpoint-list"


def test_a_node_that_is_away_is_three(weft: Weft, admin: FakeAdmin) -> None:
    admin.node_answers = [{"node": "node-1", "json": [ROW]}, {"node": "node-2", "error": "the agent is away"}]
    done = weft("endpoint", "list")
    assert done.exit_code == 3
    assert "client" in done.stdout
    assert done.stderr == "weft: node node-2: the agent is away\n"
