"""Questions survive the wire."""

from __future__ import annotations

from mesh.api.codec_question import CheckQuestion, question_from_pb, question_to_pb


def test_a_question_comes_back_whole() -> None:
    asked = CheckQuestion(
        source="shop/client",
        destination="shop/payments",
        port=80,
        port_name="web",
        protocol="tcp",
        method="GET",
        path="/x",
        host="payments",
        headers=(("x-env", "prod"), ("x-env", "")),
    )
    assert question_from_pb(question_to_pb(asked)) == asked
    assert asked.speaks_of_a_request


def test_what_is_not_given_stays_empty() -> None:
    bare = CheckQuestion(source="a/b", destination="a/c")
    assert question_from_pb(question_to_pb(bare)) == bare
    assert not bare.speaks_of_a_request
