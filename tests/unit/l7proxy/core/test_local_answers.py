from __future__ import annotations

import pytest

from l7proxy.core.local_answers import answer


@pytest.mark.parametrize("status", [400, 403, 405, 408, 414, 417, 431, 502, 503, 504])
def test_answers_are_well_framed_and_say_nothing_more(status: int) -> None:
    head, _, body = answer(status, head=False, close=False, keep10=False).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Length: %d" % len(body) in head
    assert len(body) < 40
    assert answer(status, head=True, close=False, keep10=False) == head + b"\r\n\r\n"


def test_connection_field_follows_what_happens_to_the_connection() -> None:
    assert b"\r\nConnection: close\r\n" in answer(400, head=False, close=True, keep10=True)
    assert b"\r\nConnection: keep-alive\r\n" in answer(403, head=False, close=False, keep10=True)
    assert b"Connection" not in answer(403, head=False, close=False, keep10=False)
