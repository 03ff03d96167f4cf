"""weft identity list."""

from __future__ import annotations

import json

from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft


def test_identities_with_what_they_stand_for(weft: Weft, admin: FakeAdmin) -> None:
    admin.identities = [
        {"id": 1, "kind": "reserved", "namespace": "", "serviceAccount": "", "entities": ["host"], "labels": {}},
        {"id": 256, "kind": "pod", "namespace": "shop", "serviceAccount": "web", "labels": {"app": "web"}},
        {"id": 16777216, "kind": "address", "namespace": "", "serviceAccount": "", "prefix": "10.0.0.0/8"},
    ]
    assert weft("identity", "list").stdout == (
        "      ID  KIND      NAMESPACE  SERVICE-ACCOUNT  STANDS-FOR\n"
        "       1  reserved  -          -                host\n"
        "     256  pod       shop       web              app=web\n"
        "16777216  address   -          -                10.0.0.0/8\n"
    )
    assert weft("identity", "list", "-n", "shop", "-o", "name").stdout == "256\n"
    assert json.loads(weft("identity", "list", "-o", "json").stdout) == admin.identities
