"""Who may join, and why not."""

from __future__ import annotations

import pytest

from controller.ca import tokens
from controller.ca.attestation import objection_to_join, objection_to_renewal, objection_to_stream
from controller.store import StoredNode, StoredToken

GOOD, _ = tokens.make("c")
OTHER, _ = tokens.make("c")


def token(*, node: str = "", expires_s: int = 100, uses: int = 0, most: int = 1) -> StoredToken:
    hashed = tokens.secret_hash(GOOD)
    return StoredToken(name=GOOD.name, secret_hash=hashed, node=node, expires_s=expires_s, uses=uses, most=most)


def joined(key_hash: str) -> StoredNode:
    return StoredNode(name="n1", key_hash=key_hash, joined="t")


def ask(
    *,
    node: str = "n1",
    presented: tokens.Presented | None = GOOD,
    held: StoredToken | None = None,
    now_s: int = 50,
    registered: StoredNode | None = None,
) -> str | None:
    return objection_to_join(
        node=node, key_hash="key", presented=presented, token=held or token(), registered=registered, now_s=now_s
    )


def test_a_good_token_lets_a_new_node_in_and_the_same_key_again() -> None:
    assert ask() is None
    assert ask(registered=joined("key")) is None
    assert ask(held=token(node="n1")) is None
    assert ask(held=token(node="n1", uses=1), registered=joined("key")) is None
    assert ask(held=token(uses=1), registered=joined("key")) is None
    assert ask(held=token(uses=49, most=50)) is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"presented": None}, "is not of the form NAME.SECRET"),
        ({"presented": tokens.Presented(GOOD.name, OTHER.secret)}, "is not known or its secret is wrong"),
        ({"now_s": 100}, "has expired"),
        ({"held": token(node="n2")}, "is good for node n2 only, not for n1"),
        ({"held": token(uses=1)}, "is spent: a node has joined with it; make one with `weft token create`"),
        ({"held": token(uses=50, most=50)}, "is spent: 50 nodes have joined with it; make one"),
        ({"held": token(uses=1), "registered": joined("another key")}, "node n1 has joined before with another key"),
        ({"node": "../n1"}, "is not a node name"),
        ({"held": token(node="n1", uses=1)}, "was for node n1 once, which has been deleted; make a new one"),
        (
            {"registered": joined("another key")},
            "node n1 has joined before with another key; `weft delete node n1` frees the name",
        ),
    ],
)
def test_others_are_refused_with_a_reason(asked: dict[str, object], reason: str) -> None:
    assert reason in str(ask(**asked))  # type: ignore[arg-type]


def test_an_unknown_token_and_a_wrong_secret_get_the_same_answer() -> None:
    unknown = objection_to_join(node="n1", key_hash="key", presented=GOOD, token=None, registered=None, now_s=50)
    wrong = ask(presented=tokens.Presented(GOOD.name, OTHER.secret))
    assert unknown == wrong


def test_renewal_is_for_the_node_of_the_certificate() -> None:
    assert objection_to_renewal(node="n1", peer_node="n1", peer_key_hash="key", registered=joined("key")) is None
    other = objection_to_renewal(node="n1", peer_node="n2", peer_key_hash="key", registered=joined("key"))
    assert "the certificate shown is that of node n2, not of n1" in str(other)
    for registered in (None, joined("another key")):
        reason = objection_to_renewal(node="n1", peer_node="n1", peer_key_hash="key", registered=registered)
        assert "join again with a token" in str(reason)


def test_a_stream_is_for_a_node_that_has_not_been_sent_away() -> None:
    assert objection_to_stream(node="node-a", key_hash="k1", registered=joined("k1")) is None
    assert "was deleted" in str(objection_to_stream(node="node-a", key_hash="k1", registered=None))
    assert "another key" in str(objection_to_stream(node="node-a", key_hash="k1", registered=joined("k2")))
