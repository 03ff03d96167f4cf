"""What TAB offers."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from agent.datapath.mapnames import map_of
from cli import target
from cli.__main__ import weft
from cli.completing import (
    MAPS,
    complete_kind,
    complete_lab,
    complete_logs,
    complete_map,
    complete_node,
    complete_object,
    complete_pod,
    complete_pod_or_service,
    complete_token,
)
from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples


def context(address: str, **params: str) -> click.Context:
    root = click.Context(weft)
    root.params = {"controller": address, "lab": None}
    inner = click.Context(click.Command("get"), parent=root)
    inner.params = dict(params)
    return inner


ARGUMENT = click.Argument(["x"])


def test_kinds_need_nobody() -> None:
    assert [item.value for item in complete_kind(context(""), ARGUMENT, "meshp")] == ["meshpolicies"]


def test_names_come_from_the_controller(admin: FakeAdmin) -> None:
    admin.objects = [samples.pod("client"), samples.pod("web")]
    assert [item.value for item in complete_pod(context(admin.address), ARGUMENT, "shop/c")] == ["shop/client"]
    found = complete_object(context(admin.address, kind_words="po"), ARGUMENT, "")
    assert [item.value for item in found] == ["shop/client", "shop/web"]


def test_behind_a_namespace_names_are_bare(admin: FakeAdmin) -> None:
    admin.objects = [samples.pod("client"), samples.pod("client", "other"), samples.node()]
    here = context(admin.address, kind_words="po", namespace="shop")
    assert [item.value for item in complete_object(here, ARGUMENT, "c")] == ["client"]
    assert [item.value for item in complete_node(here, ARGUMENT, "")] == ["node-1"]
    admin.tokens = [{"id": "abc123"}, {"id": "def456"}]
    assert [item.value for item in complete_token(here, ARGUMENT, "d")] == ["def456"]


def test_a_destination_may_be_a_service(admin: FakeAdmin) -> None:
    admin.objects = [samples.pod(), samples.service()]
    found = complete_pod_or_service(context(admin.address), ARGUMENT, "shop/")
    assert [item.value for item in found] == ["shop/client", "shop/payments"]


def test_words_that_are_no_objects(admin: FakeAdmin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    admin.objects = [samples.pod("client", "a")]
    assert [item.value for item in complete_logs(context(admin.address), ARGUMENT, "a")] == [
        "agent",
        "access",
        "a/client",
    ]
    assert [item.value for item in complete_map(context(""), ARGUMENT, "ip")] == ["ipcache"]
    monkeypatch.setattr(target, "LABS", tmp_path / "none")
    assert complete_lab(context(""), ARGUMENT, "") == []
    monkeypatch.setattr(target, "LABS", tmp_path)
    (tmp_path / "second").mkdir()
    assert [item.value for item in complete_lab(context(""), ARGUMENT, "s")] == ["second"]


def test_every_map_that_is_offered_exists() -> None:
    assert [name for name in MAPS if map_of(name) is None] == []


@pytest.mark.parametrize("address", ["unix:/nobody/here", "nonsense"])
def test_where_nobody_answers_nothing_is_offered(address: str) -> None:
    assert complete_pod(context(address), ARGUMENT, "") == []
    assert complete_object(context(address, kind="nokind"), ARGUMENT, "") == []
