"""weft service list."""

from __future__ import annotations

import json

from cli.commands.service import combine
from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft


def test_services_with_backends_that_are_ready() -> None:
    row = combine([samples.service()], [samples.endpoint_slice(), samples.endpoint_slice(owner="other")])[0]
    assert row["clusterIPs"] == ["10.96.0.7", "fd00:10:96::7"]
    assert row["backends"] == [
        {"ip": "10.1.0.3", "ports": [{"port": 8080, "protocol": "TCP"}], "pod": "shop/payments", "node": "node-1"},
    ]


def test_the_table(weft: Weft, admin: FakeAdmin) -> None:
    admin.objects = [samples.service(), samples.endpoint_slice()]
    assert weft("service", "list").stdout == (
        "NAMESPACE  NAME      CLUSTER-IP  PORTS         BACKENDS\n"
        "shop       payments  10.96.0.7   80->8080/TCP  payments\n"
    )
    assert json.loads(weft("service", "list", "-n", "none", "-o", "json").stdout) == []
    assert weft("service", "list", "-o", "name").stdout == "shop/payments\n"
