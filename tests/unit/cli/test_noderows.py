"""Rows of many nodes."""

from __future__ import annotations

import pytest

from cli.document import text
from cli.errors import Unreachable
from cli.formats import Format, View
from cli.grid import Column
from cli.listing import Listing
from cli.noderows import NodeFailed, ask, show
from cli.target import of_address
from tests.support.adminserver import FakeAdmin

VIEW = View(columns=(Column(header="X", value=lambda row: text(row, "x")),), name=lambda row: text(row, "x"))


def options(namespace: str | None = None) -> Listing:
    return Listing(form=Format.TABLE, namespace=namespace, all_namespaces=False, watch=False)


def test_one_node_that_fails_does_not_hide_the_others(admin: FakeAdmin, capsys: pytest.CaptureFixture[str]) -> None:
    admin.node_answers = [{"node": "a", "json": [{"x": 1}]}, {"node": "b", "error": "away"}]
    with pytest.raises(NodeFailed, match="node b: away") as caught:
        show(of_address(admin.address), options(), VIEW, "endpoint-list", {})
    assert capsys.readouterr().out == "X\n1\n"
    assert caught.value.exit_code == 3


def test_rows_of_other_namespaces_are_left_out(admin: FakeAdmin, capsys: pytest.CaptureFixture[str]) -> None:
    admin.node_answers = [{"node": "a", "json": [{"x": 1, "namespace": "shop"}, {"x": 2, "namespace": "other"}]}]
    show(of_address(admin.address), options("shop"), VIEW, "endpoint-list", {})
    assert capsys.readouterr().out == "X\n1\n"


def test_an_answer_that_was_cut_says_so(admin: FakeAdmin, capsys: pytest.CaptureFixture[str]) -> None:
    admin.node_answers = [{"node": "a", "json": {"entries": [{"x": 1}], "truncated": True}}]
    show(of_address(admin.address), options(), VIEW, "map-dump", {}, keys=("entries",))
    assert "node a holds more rows than it sends" in capsys.readouterr().err


def test_where_no_node_answers_nothing_is_called_empty(admin: FakeAdmin, capsys: pytest.CaptureFixture[str]) -> None:
    admin.node_answers = [{"node": "a", "error": "no such map"}, {"node": "b", "error": "no such map"}]
    with pytest.raises(NodeFailed, match="node a: no such map; node b: no such map"):
        show(of_address(admin.address), options(), VIEW, "map-dump", {})
    assert capsys.readouterr() == ("", "")


def test_no_node_at_all_is_not_an_empty_answer(admin: FakeAdmin) -> None:
    with pytest.raises(Unreachable, match="no connection to node a"):
        ask(of_address(admin.address), "endpoint-list", {}, node="a", keys=())
