"""weft get."""

from __future__ import annotations

import json

import pytest
import yaml

from cli.commands.get import later
from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft


@pytest.fixture(autouse=True)
def objects(admin: FakeAdmin) -> None:
    admin.objects = [samples.pod(), samples.pod("web", "other", ip="10.1.0.9"), samples.service(), samples.node()]


def test_a_namespace(weft: Weft) -> None:
    done = weft("get", "po", "-n", "shop")
    assert done.stdout == ("NAME    READY  STATUS   IP        NODE\nclient  1/1    Running  10.1.0.2  node-1\n")


def test_all_namespaces_have_a_column(weft: Weft) -> None:
    assert weft("get", "pods", "-A").stdout.splitlines()[2].split()[:2] == ["other", "web"]


def test_without_a_namespace_it_is_default_and_says_so(weft: Weft) -> None:
    done = weft("get", "pods")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no pods in namespace default (-A shows all namespaces)" in done.stderr


def test_json_of_one_is_the_object_and_of_several_a_list(weft: Weft) -> None:
    assert json.loads(weft("get", "pod", "shop/client", "-o", "json").stdout) == samples.pod()
    several = json.loads(weft("get", "pods", "-A", "-o", "json").stdout)
    assert (several["kind"], len(several["items"])) == ("List", 2)
    assert json.loads(weft("get", "pods", "-o", "json").stdout)["items"] == []
    assert yaml.safe_load(weft("get", "no", "node-1", "-o", "yaml").stdout) == samples.node()
    assert len(weft("get", "pods", "-A", "-o", "jsonl").stdout.splitlines()) == 2


def test_names_can_be_given_back(weft: Weft) -> None:
    assert weft("get", "pods", "-A", "-o", "name").stdout == "shop/client\nother/web\n"
    assert weft("get", "po,svc", "-n", "shop", "-o", "name").stdout == "Pod shop/client\nService shop/payments\n"


def test_several_kinds_are_several_tables(weft: Weft) -> None:
    shown = weft("get", "all", "-n", "shop").stdout
    assert shown.startswith("pods:\nNAME")
    assert "\n\nservices:\nNAME" in shown


def test_a_name_that_is_not_there_is_one(weft: Weft) -> None:
    done = weft("get", "pod", "ghost", "-n", "shop")
    assert (done.exit_code, done.stderr) == (1, "weft: there is no Pod shop/ghost\n")


def test_the_others_are_shown_beside_one_that_is_not_there(weft: Weft) -> None:
    done = weft("get", "pod", "-n", "shop", "ghost", "client")
    assert (done.exit_code, done.stderr) == (1, "weft: there is no Pod shop/ghost\n")
    assert done.stdout.splitlines()[1].startswith("client")


def test_kind_slash_name_as_kubectl_takes_it(weft: Weft) -> None:
    assert json.loads(weft("get", "pod/client", "-n", "shop", "-o", "json").stdout) == samples.pod()
    shown = weft("get", "pod/client", "svc/payments", "-n", "shop", "-o", "name").stdout
    assert shown == "Pod shop/client\nService shop/payments\n"


@pytest.mark.parametrize("arguments", [("pods,svc", "x"), ("pods", "x", "-A"), ("nokind",), ("pods", "-n", "a", "-A")])
def test_usage(weft: Weft, arguments: tuple[str, ...]) -> None:
    assert weft("get", *arguments).exit_code == 2


def test_a_watch_goes_on_with_what_changes(weft: Weft, admin: FakeAdmin) -> None:
    admin.events = [
        ("put", samples.pod("new")),
        ("put", samples.pod("elsewhere", "other")),
        ("remove", samples.pod()),
    ]
    done = weft("get", "pods", "-n", "shop", "-w")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "client", "new", "client"]
    assert done.stdout.endswith("(removed)\n")
    one = weft("get", "pods", "shop/new", "-w", "-o", "jsonl")
    assert one.exit_code == 1, "it is not there yet"
    lines = [json.loads(line) for line in weft("get", "pod", "shop/client", "-w", "-o", "jsonl").stdout.splitlines()]
    assert [line.get("removed") for line in lines] == [None, True]


def test_the_first_picture_of_a_watch_is_not_shown_twice() -> None:
    assert list(later([("put", {}), ("synced", {}), ("put", {"a": 1})])) == [("put", {"a": 1})]
