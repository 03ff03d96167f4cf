"""Tokens that are given away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.ca import issue, tokens
from controller.errors import BadQuestion


def test_a_token_lives_for_a_day_unless_told_otherwise() -> None:
    for asked, lifetime in ((0, issue.USUAL_S), (60, 60)):
        kept, _ = issue.token("f00d", node="node-a", uses=0, ttl_s=asked, now_s=1000)
        assert (kept.node, kept.expires_s, kept.uses) == ("node-a", 1000 + lifetime, 0)


def test_the_text_opens_what_the_store_keeps() -> None:
    kept, text = issue.token("f00d", node="", uses=0, ttl_s=0, now_s=1000)
    shown, _, ca_hash = text.rpartition(".")
    presented = tokens.read(shown)
    assert presented is not None
    assert ca_hash == "f00d"
    assert presented.name == kept.name
    assert tokens.same_secret(presented, kept.secret_hash)


def test_a_token_does_not_live_for_ever() -> None:
    with pytest.raises(BadQuestion, match="366 days at most"):
        issue.token("f00d", node="", uses=0, ttl_s=issue.LONGEST_S + 1, now_s=0)


def test_a_token_is_good_for_one_node_unless_told_otherwise() -> None:
    for asked, most in ((0, 1), (1, 1), (5, 5)):
        assert issue.token("f00d", node="", uses=asked, ttl_s=0, now_s=0)[0].most == most
    with pytest.raises(BadQuestion, match="good for that one"):
        issue.token("f00d", node="node-a", uses=2, ttl_s=0, now_s=0)


def test_what_is_listed_of_a_token_lets_nobody_join() -> None:
    kept, text = issue.token("f00d", node="", uses=3, ttl_s=60, now_s=1000)
    row = issue.listed(replace(kept, uses=1), now_s=1001)
    assert row == {
        "id": kept.name,
        "state": "good",
        "node": "",
        "uses": 1,
        "usesLeft": 2,
        "expires": "1970-01-01T00:17:40Z",
        "created": "1970-01-01T00:16:40Z",
    }
    _, secret, _ = text.split(".")
    assert secret not in str(row)
    assert kept.secret_hash not in str(row)


def test_what_is_left_of_a_token_is_told() -> None:
    kept, _ = issue.token("f00d", node="node-a", uses=0, ttl_s=60, now_s=1000)
    assert issue.listed(replace(kept, uses=1), now_s=1001)["state"] == "spent"
    assert issue.listed(replace(kept, uses=1), now_s=1060)["state"] == "expired"
    assert issue.listed(replace(kept, uses=5), now_s=1001)["usesLeft"] == 0
    assert issue.listed(replace(kept, created_s=0), now_s=1001)["created"] is None, "made by an older version"


def test_a_whole_token_is_no_id_and_is_not_repeated() -> None:
    kept, text = issue.token("f00d", node="", uses=0, ttl_s=0, now_s=0)
    assert issue.objection_to_id(kept.name) is None
    for wrong in (text, "", "abc", "ABCDEF"):
        reason = issue.objection_to_id(wrong)
        assert reason is not None
        assert not wrong or wrong not in reason
