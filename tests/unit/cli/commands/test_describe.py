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


def test_a_service_with_what_is_behind_it(weft: Weft, admin: FakeAdmin) -> None:
    admin.objects = [samples.service(), samples.endpoint_slice(), samples.endpoint_slice("x", owner="other")]
    shown = weft("describe", "svc/payments", "-n", "shop").stdout
    assert "Endpoints:         10.1.0.3 TCP/8080 -> shop/payments\n" in shown
    admin.objects = [samples.service()]
    assert "Endpoints:         <none is ready>\n" in weft("describe", "svc", "shop/payments").stdout


def test_what_is_not_there_is_one(weft: Weft) -> None:
    done = weft("describe", "pod", "shop/ghost")
    assert (done.exit_code, done.stderr) == (1, "weft: there is no Pod shop/ghost\n")


def test_one_object_is_described(weft: Weft) -> None:
    assert weft("describe", "pod").exit_code == 2
    assert weft("describe", "pod/a", "pod/b").exit_code == 2
