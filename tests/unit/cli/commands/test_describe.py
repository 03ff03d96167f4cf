"""weft describe."""

from __future__ import annotations

import json

from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft


def test_a_pod_with_its_policies(weft: Weft, admin: FakeAdmin) -> None:
    admin.objects = [samples.pod()]
    admin.show = {"policies": [{"policy": "shop/payments", "kind": "MeshPolicy"}]}
    done = weft("describe", "pod", "client", "-n", "shop")
    assert done.exit_code == 0
    assert done.stdout.endswith("Policies:\n  MeshPolicy shop/payments\n")
    assert (admin.requests[-1].namespace, admin.requests[-1].pod) == ("shop", "client")


def test_other_formats_are_the_object(weft: Weft, admin: FakeAdmin) -> None:
    admin.objects = [samples.node()]
    assert json.loads(weft("describe", "node", "node-1", "-o", "json").stdout) == samples.node()
    assert weft("describe", "node", "node-1", "-o", "name").stdout == "node-1\n"


def test_what_is_not_there_is_one(weft: Weft) -> None:
    assert weft("describe", "pod", "shop/ghost").exit_code == 1
