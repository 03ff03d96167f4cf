"""Every call against a real gRPC server, and what its failures become."""

from __future__ import annotations

import grpc
import pytest

from cli.client import Admin, FlowQuestion, Manifest, rows_of
from cli.errors import NotThere, Problem, Refused, Unreachable
from cli.target import of_address
from mesh.api import mesh_pb2 as pb
from mesh.api.codec_question import CheckQuestion
from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples


def client(admin: FakeAdmin) -> Admin:
    return Admin(of_address(admin.address))


def test_apply_sends_texts_and_gives_changes_and_warnings(admin: FakeAdmin) -> None:
    admin.reply = pb.ApplyReply(
        revision=5,
        changes=[pb.Change(verb="created", kind="Pod", namespace="shop", name="a")],
        warnings=[pb.Problem(file="f", reason="selects nothing")],
    )
    with client(admin) as it:
        applied = it.apply([Manifest("f", "text")], dry_run=True)
    assert (applied.revision, applied.changes[0].name, applied.warnings) == (
        5,
        "a",
        (Problem(file="f", reason="selects nothing"),),
    )
    assert (admin.requests[0].documents[0].text, admin.requests[0].dry_run) == ("text", True)


def test_refusals_in_the_answer_are_raised(admin: FakeAdmin) -> None:
    admin.reply = pb.ApplyReply(refused=[pb.Problem(file="f", object="Pod a/b", field="spec", reason="bad")])
    with client(admin) as it, pytest.raises(Refused) as caught:
        it.apply([])
    assert str(caught.value.problems[0]) == "f: Pod a/b: spec: bad"


def test_get_asks_for_all_namespaces_without_one(admin: FakeAdmin) -> None:
    admin.objects = [samples.pod(), samples.pod(namespace="other")]
    with client(admin) as it:
        assert len(it.get("Pod")) == 2
        assert [item["metadata"] for item in it.get("Pod", namespace="shop", name="client")] == [
            samples.pod()["metadata"]
        ]
    assert [request.all_namespaces for request in admin.requests] == [True, False]


def test_an_object_that_is_not_there_is_an_empty_list(admin: FakeAdmin) -> None:
    admin.error = (grpc.StatusCode.NOT_FOUND, "no such Pod")
    with client(admin) as it:
        assert it.get("Pod", name="none") == []


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, Refused, "the reason"),
        (grpc.StatusCode.NOT_FOUND, NotThere, "the reason"),
        (grpc.StatusCode.UNAVAILABLE, Unreachable, "does not answer: the reason"),
        (grpc.StatusCode.INTERNAL, Unreachable, "failed: the reason"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unreachable, "did not answer within"),
    ],
)
def test_errors_of_the_call_are_translated(
    admin: FakeAdmin, code: grpc.StatusCode, error: type[Exception], said: str
) -> None:
    admin.error = (code, "the reason")
    with client(admin) as it, pytest.raises(error, match=said):
        it.policy_show("shop", "a")


def test_streams_fail_in_the_same_words(admin: FakeAdmin) -> None:
    admin.error = (grpc.StatusCode.UNAVAILABLE, "gone")
    with client(admin) as it, pytest.raises(Unreachable, match="gone"):
        list(it.observe(FlowQuestion()))


def test_a_check_carries_the_whole_question(admin: FakeAdmin) -> None:
    question = CheckQuestion(
        source="shop/a",
        destination="shop/b",
        port=80,
        method="GET",
        path="/x",
        host="h",
        headers=(("x", "1"),),
    )
    admin.check = {"verdict": "allow"}
    with client(admin) as it:
        assert it.policy_check(question) == {"verdict": "allow"}
    asked = admin.requests[0]
    assert (asked.source, asked.destination, asked.port, asked.protocol) == ("shop/a", "shop/b", 80, "tcp")
    assert (asked.headers[0].key, asked.headers[0].value) == ("x", "1")


def test_observe_takes_single_records_and_lists(admin: FakeAdmin) -> None:
    admin.flows = [{"id": "1"}]
    with client(admin) as it:
        assert list(it.observe(FlowQuestion(http_status=("5xx",), limit=3))) == [{"id": "1"}]
    assert (list(admin.requests[0].http_status), admin.requests[0].limit) == (["5xx"], 3)


def test_watch_gives_verbs_and_objects(admin: FakeAdmin) -> None:
    admin.objects, admin.events = [samples.pod()], [("remove", samples.pod())]
    with client(admin) as it:
        assert [verb for verb, _ in it.watch(["Pod"])] == ["put", "synced", "remove"]


def test_rows_of_nodes_carry_the_node_and_errors_stay_apart(admin: FakeAdmin) -> None:
    admin.node_answers = [
        {"node": "a", "json": [{"x": 1}]},
        {"node": "b", "json": {"entries": [{"x": 2}]}},
        {"node": "c", "error": "no"},
    ]
    with client(admin) as it:
        rows, failed = rows_of(it.node_command("map-dump", {"name": "ct"}), "entries")
    assert rows == [{"node": "a", "x": 1}, {"node": "b", "x": 2}]
    assert [(reply.node, reply.error) for reply in failed] == [("c", "no")]
    assert admin.requests[0].arguments == '{"name": "ct"}'


def test_identities_may_come_bare_or_wrapped(admin: FakeAdmin) -> None:
    admin.identities = [{"id": 1}]
    with client(admin) as it:
        assert it.identities() == [{"id": 1}]


def test_status_is_the_document_itself(admin: FakeAdmin) -> None:
    admin.status = samples.status()
    with client(admin) as it:
        assert it.status() == samples.status()


def test_delete_by_name_and_by_text(admin: FakeAdmin) -> None:
    with client(admin) as it:
        it.delete_object("Pod", "shop", "a", ignore_missing=True)
        it.delete([Manifest("f", "t")])
    assert (admin.requests[0].name, admin.requests[0].ignore_missing) == ("a", True)
    assert admin.requests[1].documents[0].file == "f"
