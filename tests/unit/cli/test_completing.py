"""What TAB offers."""

from __future__ import annotations

import click
import pytest

from cli.__main__ import weft
from cli.completing import complete_kind, complete_object, complete_pod
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


@pytest.mark.parametrize("address", ["unix:/nobody/here", "nonsense"])
def test_where_nobody_answers_nothing_is_offered(address: str) -> None:
    assert complete_pod(context(address), ARGUMENT, "") == []
    assert complete_object(context(address, kind="nokind"), ARGUMENT, "") == []
