from __future__ import annotations

import pytest

from l7proxy.core import heads as module
from l7proxy.core.heads import Heads, KnownRequest
from l7proxy.core.limits import Limits
from l7proxy.core.refusal import RequestRefused, ResponseBroken
from tests.support.playbook import get, response


def twice(heads: Heads, raw: bytes) -> KnownRequest:
    """Read and, being met again, kept."""
    heads.request(raw, b"x")
    return heads.request(raw, b"x")


def test_bytes_that_come_again_give_the_same_head() -> None:
    heads = Heads(Limits())
    assert twice(heads, get()) is heads.request(bytes(bytearray(get())), b"x")
    raw = response(b"")
    heads.response(raw)
    assert heads.response(raw) is heads.response(bytes(bytearray(raw)))


def test_heads_that_come_once_are_not_kept() -> None:
    heads = Heads(Limits())
    known, answered = twice(heads, get()), response(b"")
    heads.response(answered)
    heads.response(answered)
    for number in range(3 * module.KEPT):
        heads.request(get(f"/{number}"), b"x")
        heads.response(response(b"", f"X: {number}"))
    assert heads.requests == {get(): known}
    assert list(heads.responses) == [answered]


def test_head_that_depends_on_its_connection_is_not_kept() -> None:
    heads = Heads(Limits())
    raw = b"GET / HTTP/1.0\r\n\r\n"
    for _ in range(3):
        assert heads.request(raw, b"10.0.0.1:80").head.host == "10.0.0.1"
    assert heads.request(raw, b"10.0.0.2:80").head.host == "10.0.0.2"


def test_refused_and_long_heads_are_not_kept() -> None:
    heads = Heads(Limits())
    with pytest.raises(RequestRefused):
        heads.request(get("/", "A : b"), b"x")
    with pytest.raises(ResponseBroken):
        heads.response(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA : b\r\n\r\n")
    twice(heads, get("/" + "a" * module.KEPT_BYTES))
    assert heads.requests == heads.responses == {}


def test_change_of_policy_forgets_verdicts() -> None:
    heads = Heads(Limits())
    first = twice(heads, get())
    heads.forget_verdicts()
    assert heads.request(get(), b"x") is not first


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    heads = Heads(Limits())
    for number in range(35):
        twice(heads, get(f"/{number}"))
        heads.response(response(b"", f"X: {number}"))
        heads.response(response(b"", f"X: {number}"))
    assert 0 < len(heads.requests) <= 10
    assert 0 < len(heads.responses) <= 10


def test_oversized_heads_are_refused() -> None:
    heads = Heads(Limits(head_bytes=100))
    with pytest.raises(RequestRefused, match="head-too-long"):
        heads.request(get("/", "A: " + "b" * 100), b"x")
    with pytest.raises(ResponseBroken, match="head-too-long"):
        heads.response(response(b"", "A: " + "b" * 100))
