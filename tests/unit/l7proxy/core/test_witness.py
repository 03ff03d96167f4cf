from __future__ import annotations

import pytest

from l7proxy.core.witness import ChunkedWitness, Disagreement, check_request_head, check_response_head
from tests.support.playbook import get

CHUNKED = get("/", "Transfer-Encoding: chunked", method="POST")


def test_clear_heads_pass() -> None:
    check_request_head(get(), ends=True)
    check_request_head(get("/", "Content-Length: 5"), ends=False)
    check_response_head(b"HTTP/1.1 204 No Content\r\n\r\n", ends=True)
    check_response_head(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", ends=False)


@pytest.mark.parametrize(
    "raw",
    [
        get("/", "A : b"),
        get("/", "A: b\x00"),
        get("/", "A: b", " folded"),
        get("/", ": b"),
        get("/", "A: b\x7f"),
        b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
        get("/", "Connection: upgrade", "Upgrade: h2c"),
    ],
)
def test_what_llhttp_refuses_is_a_disagreement(raw: bytes) -> None:
    with pytest.raises(Disagreement):
        check_request_head(raw, ends=True)


def test_an_offered_upgrade_is_no_fault_of_the_head_as_received() -> None:
    check_request_head(get("/", "Connection: upgrade", "Upgrade: h2c"), ends=None)


def test_another_end_is_a_disagreement() -> None:
    with pytest.raises(Disagreement):
        check_request_head(get(), ends=False)
    with pytest.raises(Disagreement):
        check_response_head(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", ends=True)
    with pytest.raises(Disagreement):
        check_response_head(b"HTTP/1.1 20 OK\r\n\r\n", ends=True)


def test_chunked_message_is_followed_to_its_end() -> None:
    witness = ChunkedWitness(CHUNKED, response=False)
    witness.feed(b"5\r\nhel", ends=False)
    witness.feed(b"lo\r\n0\r\n\r\n", ends=True)
    with pytest.raises(Disagreement):
        ChunkedWitness(CHUNKED, response=False).feed(b"5\r\nhello\r\n0\r\n\r\n", ends=False)
    with pytest.raises(Disagreement):
        ChunkedWitness(get(), response=False)
    witness = ChunkedWitness(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", response=True)
    with pytest.raises(Disagreement):
        witness.feed(b"zz\r\n", ends=False)
