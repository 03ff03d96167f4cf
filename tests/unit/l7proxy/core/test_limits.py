from __future__ import annotations

from dataclasses import fields

from l7proxy.core.limits import Limits


def test_every_limit_is_a_positive_number() -> None:
    assert all(getattr(Limits(), item.name) > 0 for item in fields(Limits))


def test_a_head_is_bounded_tighter_than_what_waits_for_a_slow_reader() -> None:
    assert Limits().request_line_bytes < Limits().head_bytes <= Limits().pipe_bytes
