"""weft policy show and check."""

from __future__ import annotations

import json

import grpc
import pytest

from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft

CHECK = ("policy", "check", "--from", "shop/client", "--to", "shop/payments", "--port", "8080")


def test_a_check_in_words_and_in_json(weft: Weft, admin: FakeAdmin) -> None:
    admin.check = samples.check()
    done = weft(*CHECK, "--method", "POST", "--path", "/charge", "--header", "X-Env=prod=1")
    assert done.exit_code == 0
    assert done.stdout.startswith("DENY  shop/client -> shop/payments:8080 TCP POST /charge\n  egress")
    asked = admin.requests[0]
    assert (asked.method, asked.path, asked.headers[0].key, asked.headers[0].value) == (
        "POST",
        "/charge",
        "x-env",
        "prod=1",
    )
    assert json.loads(weft(*CHECK, "-o", "json").stdout) == samples.check()
    assert weft(*CHECK, "-o", "name").stdout == "deny\n"


def test_expect_decides_the_exit_status(weft: Weft, admin: FakeAdmin) -> None:
    admin.check = samples.check()
    assert weft(*CHECK, "--expect", "deny").exit_code == 0
    done = weft(*CHECK, "--expect", "allow", "-o", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["verdict"] == "deny"
    assert done.stderr == "weft: expected allow, but the verdict is deny\n", "why stands on standard output"


@pytest.mark.parametrize(
    ("given", "number", "name"),
    [(("--port", "8080"), 8080, ""), (("--port", "http"), 0, "http"), (("--protocol", "icmp"), 0, "")],
)
def test_ports_have_numbers_or_names(
    weft: Weft, admin: FakeAdmin, given: tuple[str, ...], number: int, name: str
) -> None:
    assert weft("policy", "check", "--from", "a/b", "--to", "a/c", *given).exit_code == 0
    assert (admin.requests[0].port, admin.requests[0].port_name) == (number, name)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--port", "70000"),
        ("--port", "0"),
        (),
        ("--port", "53", "--protocol", "udp", "--method", "GET"),
        ("--port", "80", "--protocol", "icmp"),
        ("--port", "80", "--header", "x"),
        ("--port", "80", "--header", "x=\udce9"),
        ("--port", "80", "--path", "charge"),
        ("--port", "80", "--host", "pay.shop..."),
        ("--port", "80", "--host", ".shop"),
        ("--port", "80", "--expect", "maybe"),
    ],
)
def test_usage(weft: Weft, admin: FakeAdmin, wrong: tuple[str, ...]) -> None:
    assert weft("policy", "check", "--from", "a/b", "--to", "a/c", *wrong).exit_code == 2
    assert admin.requests == []


def test_a_path_alone_is_a_get(weft: Weft, admin: FakeAdmin) -> None:
    weft(*CHECK, "--path", "/x")
    assert (admin.requests[0].method, admin.requests[0].path) == ("GET", "/x")


def test_a_namespace_completes_bare_names_only(weft: Weft, admin: FakeAdmin) -> None:
    weft("policy", "check", "--from", "client", "--to", "10.0.0.1", "--port", "1", "-n", "shop")
    assert (admin.requests[0].source, admin.requests[0].destination) == ("shop/client", "10.0.0.1")


def test_a_pod_that_is_not_there_is_one_but_not_where_one_is_a_verdict(weft: Weft, admin: FakeAdmin) -> None:
    admin.error = (grpc.StatusCode.NOT_FOUND, "there is no pod shop/ghost")
    done = weft("policy", "show", "shop/ghost")
    assert (done.exit_code, done.stderr) == (1, "weft: there is no pod shop/ghost\n")
    done = weft(*CHECK, "--expect", "deny")
    assert (done.exit_code, done.stderr) == (4, "weft: there is no pod shop/ghost\n")


def test_show(weft: Weft, admin: FakeAdmin) -> None:
    admin.show = {"policies": [{"policy": "shop/payments", "kind": "MeshPolicy"}], "ingress": {"defaultDeny": True}}
    done = weft("policy", "show", "payments", "-n", "shop")
    assert done.stdout.startswith("Pod:       shop/payments\nPolicies:  MeshPolicy shop/payments\n")
    assert json.loads(weft("policy", "show", "shop/payments", "-o", "json").stdout) == admin.show
    assert weft("policy", "show", "shop/payments", "-o", "name").stdout == "MeshPolicy shop/payments\n"
