"""weft token create."""

from __future__ import annotations

import json

from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft


def test_the_token_alone_is_printed(weft: Weft, admin: FakeAdmin) -> None:
    assert weft("token", "create", "--node", "node-3", "--ttl", "1h").stdout == "name.secret.hash\n"
    assert (admin.requests[0].node, admin.requests[0].ttl_s) == ("node-3", 3600)
    assert json.loads(weft("token", "create", "-o", "json").stdout) == {"token": "name.secret.hash"}
    assert admin.requests[1].ttl_s == 0
    assert weft("token", "create", "--ttl", "soon").exit_code == 2
