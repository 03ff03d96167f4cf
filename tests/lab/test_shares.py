"""A pod that floods its node's tables: its own new flows fail, those of the others do not, and nobody's live ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import ATTACKS, Cluster, running
from tests.support.waiting import eventually

MANIFEST = Path(__file__).with_name("manifests") / "shares.yaml"
LONGEST = "300"
STEADY = "3"
REMEMBERED_S = 6.0
"""A pod adds 8,192 of 65,536 remembered sockets in a second, and as many at once: what another has noted stands so long
and longer (bpf/lib/maps.h)."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.fail("the lab needs root: network namespaces, cgroups and bpf(); run `make test` as root")
    with running("test-shares", MANIFEST) as cluster:
        yield cluster


@contextmanager
def flood(cluster: Cluster, where: str, target: str, port: int, kind: str = "flood") -> Iterator[None]:
    """As long as the block lasts."""
    running = cluster.start_probe(where, kind, target, str(port), LONGEST, module=ATTACKS)
    yield
    assert running.runs, "the flood was over before what it should not disturb"
    assert running.stop()["sent"] > 10_000


def reach(cluster: Cluster, place: str, *targets: tuple[str, int]) -> list[str]:
    rows = [["tcp", address, port] for address, port in targets]
    return [answer[3] for answer in cluster.probe(place, "reach", json.dumps(rows))]


def world(cluster: Cluster) -> str:
    rows = cluster.exec("world", "ip", "-json", "-4", "address", "show", "scope", "global").json()
    return next(str(each["local"]) for row in rows for each in row["addr_info"])


def series(cluster: Cluster, name: str) -> float:
    page = cluster.exec("node:node-a", "curl", "-sf", "http://127.0.0.1:15012/metrics").out
    return next((float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name)), 0.0)


def test_a_pod_that_floods_uses_up_its_own_share_of_conntrack_alone(shared: Cluster) -> None:
    server, outside = shared.address("s/server"), world(shared)
    held = shared.start_probe("s/greedy", "hold", server, "9090", "send", LONGEST)
    with flood(shared, "s/greedy", outside, 7):
        # at once, not by a timeout
        eventually(lambda: reach(shared, "s/greedy", (server, 9090)), refused)
        seen = shared.probe("s/client", "steady", "tcp", server, "9090", STEADY)
        assert set(seen["counts"]) == {"ok"}
        eventually(lambda: shared.json("status")["nodes"][0]["warnings"], names_greedy)
        eventually(lambda: series(shared, "weft_agent_conntrack_share_ratio"), lambda share: share >= 0.9)
    flow = shared.wait_for_flow(lambda flow: flow["dropReason"] == "ct-share", "--verdict", "deny")
    assert (flow["from"]["pod"], flow["direction"]) == ("greedy", "egress")
    assert held.stop() == {"ended": "alive"}
    assert series(shared, 'weft_agent_packets_total{direction="egress",reason="ct-share"}') > 1000
    # Its entries go, and with them the count.
    eventually(lambda: reach(shared, "s/greedy", (server, 9090)), lambda answers: answers == ["ok"], seconds=200)


def refused(answers: list[str]) -> bool:
    """Waited for: the agent collects dead entries every five seconds, and a flood needs a moment to fill their places.
    A flood from the same place to the same port, too, has entries that a new connection may meet by its source port."""
    return answers == ["ECONNREFUSED"]


def names_greedy(told: list[str]) -> bool:
    return any(text.startswith("pod s/greedy has ") and "that it opened, of 4096 that" in text for text in told)


def test_a_flood_from_outside_is_charged_to_the_pod_that_it_is_for(shared: Cluster) -> None:
    server, client, outside = shared.address("s/server"), shared.address("s/client"), world(shared)
    with flood(shared, "world", server, 9090):
        eventually(lambda: reach(shared, "world", (server, 9090)), refused)
        assert reach(shared, "world", (client, 9090)) == ["ok"]
        assert reach(shared, "s/client", (server, 9090)) == ["ok"]  # from a neighbour
        assert reach(shared, "s/server", (client, 9090)) == ["ok"]  # of its own
    flow = shared.wait_for_flow(
        lambda flow: flow["dropReason"] == "ct-share" and flow["direction"] == "ingress", "--verdict", "deny"
    )
    assert (flow["from"]["ip"], flow["to"]["pod"]) == (outside, "server")


def test_a_flood_of_denials_hides_no_denial_of_another_pod(shared: Cluster) -> None:
    server = shared.address("s/server")
    with flood(shared, "s/greedy", server, 9999):
        assert reach(shared, "s/client", (server, 9999)) == ["ECONNREFUSED"]
    flow = shared.wait_for_flow(
        lambda flow: flow["from"]["pod"] == "client" and flow["to"]["port"] == 9999, "--verdict", "deny"
    )
    assert flow["dropReason"] == "policy-default"


def test_a_flood_of_new_sockets_makes_no_other_pod_forget_whom_it_called(shared: Cluster) -> None:
    service, forgotten = "10.96.7.7", 'weft_agent_datapath_events_total{event="services-forgotten"}'
    before = series(shared, forgotten)
    with flood(shared, "s/greedy", service, 9090, "sockets"):
        eventually(lambda: series(shared, forgotten), lambda now: now > before)
        seen = eventually(
            lambda: shared.probe("s/client", "named", service, "9090", "4"), lambda seen: seen["after"] < REMEMBERED_S
        )
        assert seen["peer"] == service
        assert reach(shared, "s/client", (service, 9090)) == ["ok"]


def test_a_flood_of_connections_to_the_proxy_leaves_others_theirs(shared: Cluster) -> None:
    server = shared.address("s/server")
    with flood(shared, "s/greedy", server, 8080):
        seen = shared.probe("s/client", "steady", "http", server, "8080", STEADY, "/x")
    assert set(seen["counts"]) == {"ok"}
