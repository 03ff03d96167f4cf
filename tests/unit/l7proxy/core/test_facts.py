from __future__ import annotations

from dataclasses import replace

from tests.support.proxy import FACTS


def test_authority_is_written_as_a_host_field() -> None:
    assert FACTS.authority == b"10.1.0.2:8080"
    assert replace(FACTS, destination_ip="fd00::2").authority == b"[fd00::2]:8080"


def test_upstream_connections_are_shared_by_nobody_else() -> None:
    key = FACTS.pool_key
    assert replace(FACTS, source_port=1).pool_key == key
    for other in (
        replace(FACTS, source_ip="10.1.0.9"),
        replace(FACTS, source_endpoint=9),
        replace(FACTS, source_identity=9),
        replace(FACTS, destination_ip="10.1.0.9"),
        replace(FACTS, destination_port=9),
    ):
        assert other.pool_key != key
