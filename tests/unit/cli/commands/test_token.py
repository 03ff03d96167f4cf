"""weft token create."""

from __future__ import annotations

import json

from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft


def test_the_token_alone_is_printed(weft: Weft, admin: FakeAdmin) -> None:
    assert weft("token", "create", "--node", "node-3", "--ttl", "1h").stdout == "name.secret.hash\n"
    assert (admin.requests[0].node, admin.requests[0].ttl_s) == ("node-3", 3600)
    assert json.loads(weft("token", "create", "-o", "json").stdout) == {"token": "name.secret.hash"}
    assert (admin.requests[1].ttl_s, admin.requests[1].uses) == (0, 1)
    assert weft("token", "create", "--uses", "50").exit_code == 0
    assert admin.requests[2].uses == 50
    assert weft("token", "create", "--uses", "0").exit_code == 2
    assert weft("token", "create", "--uses", "2", "--node", "n").exit_code == 2
    assert weft("token", "create", "--ttl", "soon").exit_code == 2
