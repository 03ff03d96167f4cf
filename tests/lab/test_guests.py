"""Pods that are not enrolled: peers of enrolled ones, judged at those; nothing of their own is enforced."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import ATTACKS, Cluster, running
from tests.support.waiting import eventually

MANIFEST = Path(__file__).with_name("manifests") / "guests.yaml"
FAMILIES = (4, 6)


@pytest.fixture(scope="module")
def guests() -> Iterator[Cluster]:
    with running("test-guests", MANIFEST) as cluster:
        yield cluster


def states(cluster: Cluster) -> dict[str, str]:
    """Of the endpoints, by pod."""
    return {row["pod"]: row["state"] for row in cluster.json("endpoint", "list")}


def get(cluster: Cluster, pod: str, ip: str, path: str) -> Any:
    where = f"[{ip}]" if ":" in ip else ip
    words = ("curl", "-s", "-o", "/dev/null", "-m", "60", "-w", "%{http_code}", f"http://{where}:8080{path}")
    return cluster.exec(pod, *words, expect=None).out


def reach(cluster: Cluster, pod: str, ip: str, *ports: int) -> list[str]:
    rows = [["tcp", ip, port] for port in ports]
    return [answer[3] for answer in cluster.probe(pod, "reach", json.dumps(rows))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("guest", ["g/near", "g/far"], ids=["one node", "two nodes"])
def test_its_requests_to_an_enrolled_pod_are_authorised(guests: Cluster, guest: str, family: int) -> None:
    server = guests.address("g/server", family)
    assert get(guests, guest, server, "/public/x") == "200"
    assert get(guests, guest, server, "/secret") == "403"
    assert reach(guests, guest, server, 9090, 9999) == ["ok", "ECONNREFUSED"]
    caller = guests.probe(guest, "whoami", "http", server, "8080")
    assert caller["local"] == guests.address(guest, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_whom_no_rule_names_is_refused(guests: Cluster, family: int) -> None:
    server = guests.address("g/server", family)
    assert reach(guests, "g/stranger", server, 8080, 9090) == ["ECONNREFUSED"] * 2


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_of_its_own_is_enforced(guests: Cluster, family: int) -> None:
    near = guests.address("g/near", family)
    assert reach(guests, "g/server", near, 7000) == ["ok"]
    assert reach(guests, "g/stranger", near, 7000) == ["ok"]
    assert reach(guests, "g/far", near, 7000) == ["ok"]


def test_it_may_leave_and_join_while_its_neighbours_work(guests: Cluster) -> None:
    server = guests.address("g/server")
    text = [one for one in MANIFEST.read_text().split("---") if "name: near" in one][0]
    for word in ("enabled", "disabled"):
        guests.apply(text.replace("weft.dev/mesh: disabled", f"weft.dev/mesh: {word}"))
        wanted = "enforced" if word == "enabled" else "exempt"
        eventually(lambda: states(guests)["near"], lambda state, wanted=wanted: state == wanted)
        assert (get(guests, "g/near", server, "/public"), get(guests, "g/near", server, "/no")) == ("200", "403")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("victim", ["g/server", "g/far", "g/stranger", "node:node-a", "node:node-b"])
def test_it_cannot_pass_for_somebody_else(guests: Cluster, victim: str, family: int) -> None:
    """An enrolled pod, one of another node, one that is not enrolled either, its own node and another: nobody."""
    if victim.startswith("node:"):
        address = {"node:node-a": ("172.30.0.10", "fd00:30::a"), "node:node-b": ("172.30.0.11", "fd00:30::b")}[victim]
        borrowed = address[family == 6]
        assert borrowed in guests.exec(victim, "ip", "-br", "address").out
    else:
        borrowed = guests.address(victim, family)
    before = spoofed(guests)
    words = (sys.executable, "-m", ATTACKS, "spoof", borrowed, guests.address("g/server", family), "9090", "5")
    assert guests.exec("g/near", *words, expect=None).status == 0
    eventually(lambda: spoofed(guests) - before, lambda more: more >= 10)


def spoofed(guests: Cluster) -> int:
    rows = guests.json("map", "dump", "counters", "--node", "node-a")
    return sum(row["value"]["packets"] for row in rows if row["key"]["reason"] == "spoofed-source")
