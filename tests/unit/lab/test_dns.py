"""The wire format of the cluster's DNS."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RCODE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from lab.dns import ZoneFile, reply
from lab.zone import build
from tests.unit.lab.documents import placed, service


def many(count: int) -> dict[str, Any]:
    addresses = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(count)]
    services = [service("web", clusterIP="10.96.0.7", clusterIPs=addresses)]
    return build(services, [], [placed("a", "10.0.0.1")])


def ask(zone: dict[str, Any], name: str, kind: str = "A", limit: int = 1232) -> DNSRecord:
    raw = reply(zone, DNSRecord.question(name, kind).pack(), limit=limit)
    assert raw is not None
    assert len(raw) <= limit
    return DNSRecord.parse(raw)


def test_an_address_is_answered_with_authority() -> None:
    message = ask(many(1), "web.shop.svc.cluster.local")
    assert message.header.rcode == RCODE.NOERROR
    assert message.header.aa == 1
    assert [(str(rr.rdata), QTYPE[rr.rtype]) for rr in message.rr] == [("10.0.0.1", "A")]


def test_unknown_names_inside_do_not_exist_and_outside_are_refused() -> None:
    assert ask(many(1), "x.shop.svc.cluster.local").header.rcode == RCODE.NXDOMAIN
    assert ask(many(1), "example.com").header.rcode == RCODE.REFUSED


def test_an_answer_too_long_for_udp_is_cut_and_says_so() -> None:
    assert ask(many(200), "web.shop.svc.cluster.local").header.tc == 1
    assert len(ask(many(200), "web.shop.svc.cluster.local", limit=65535).rr) == 200


@given(st.binary(max_size=64))
def test_garbage_is_never_an_error(garbage: bytes) -> None:
    message = reply(many(1), garbage, limit=1232)
    assert message is None or message[:2] == garbage[:2]


def test_an_answer_is_no_question() -> None:
    assert reply(many(1), DNSRecord.question("a.b").reply().pack(), limit=1232) is None


def test_the_zone_is_read_again_when_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "zone.json"
    zone = ZoneFile(path)
    assert zone.current()["addresses"] == {}
    for number in (1, 2):
        fresh = tmp_path / "fresh"
        fresh.write_text(json.dumps({**many(1), "names": [str(number)]}), encoding="utf-8")
        os.replace(fresh, path)
        assert zone.current()["names"] == [str(number)]
    path.write_text("{", encoding="utf-8")
    assert zone.current()["names"] == ["2"]
