"""weft delete."""

from __future__ import annotations

import grpc
import pytest

from mesh.api import mesh_pb2 as pb
from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft


def test_by_kind_and_names(weft: Weft, admin: FakeAdmin) -> None:
    admin.reply = pb.ApplyReply(changes=[pb.Change(verb="deleted", kind="NetworkPolicy", namespace="shop", name="a")])
    done = weft("delete", "netpol", "shop/a", "b", "-n", "shop")
    assert (done.exit_code, done.stdout) == (0, "NetworkPolicy shop/a deleted\n" * 2)
    assert [(asked.kind, asked.namespace, asked.name) for asked in admin.requests] == [
        ("NetworkPolicy", "shop", "a"),
        ("NetworkPolicy", "shop", "b"),
    ]


def test_by_file(weft: Weft, admin: FakeAdmin) -> None:
    assert weft("delete", "-f", "-", "--ignore-not-found", input="text").exit_code == 0
    assert (admin.requests[0].documents[0].text, admin.requests[0].ignore_missing) == ("text", True)


@pytest.mark.parametrize("arguments", [(), ("pod",), ("-f", "x", "pod", "a")])
def test_it_must_be_said_what_to_delete(weft: Weft, admin: FakeAdmin, arguments: tuple[str, ...]) -> None:
    assert weft("delete", *arguments).exit_code == 2
    assert admin.requests == []


@pytest.mark.parametrize("arguments", [("pod", "shop/a"), ("pod/a", "-n", "shop"), ("-f", "-")])
def test_what_is_not_there_is_one_as_for_get(weft: Weft, admin: FakeAdmin, arguments: tuple[str, ...]) -> None:
    admin.error = (grpc.StatusCode.NOT_FOUND, "there is no Pod shop/a")
    done = weft("delete", *arguments, input="text")
    assert (done.exit_code, done.stderr) == (1, "weft: there is no Pod shop/a\n")


def test_a_refusal_is_four(weft: Weft, admin: FakeAdmin) -> None:
    admin.reply = pb.ApplyReply(refused=[pb.Problem(object="Pod shop/a", reason="is not there")])
    done = weft("delete", "pod", "shop/a")
    assert (done.exit_code, done.stderr) == (4, "Pod shop/a: is not there\n")
