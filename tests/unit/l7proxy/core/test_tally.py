from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from l7proxy.core.authz import Crowd, Denial, Pair, Permit
from l7proxy.core.heads import Heads
from l7proxy.core.limits import Limits
from l7proxy.core.tally import DURATION_BOUNDS_S, Counters, Tallies, add
from mesh.model import Direction, Verdict
from tests.support.playbook import get
from tests.support.proxy import FACTS, ingress, prefix, rule, view

Judge = Callable[[str], Permit | Denial]


@pytest.fixture
def judge() -> Judge:
    """A proxy's verdicts on paths. It remembers them with their counts, so every test has its own."""
    heads, pair = Heads(Limits()), Pair(FACTS, view(ingress(rule(http=(prefix("/api"),)))))
    return lambda path: pair.judge(heads.request(get(path), b"a").head)


def take(tallies: Tallies) -> list[tuple[str, int, int]]:
    numbers = count()
    records = tallies.take("n1", 5, lambda: f"id-{next(numbers)}")
    return [(record.verdict.value, record.http.status, record.count) for record in records if record.http]


def test_equal_verdicts_with_equal_status_become_one_record(judge: Judge) -> None:
    counters = Counters()
    tallies = Tallies(counters)
    allow, deny = judge("/api"), judge("/no")
    for verdict, status in ((allow, 200), (allow, 200), (allow, 502), (deny, 403)):
        tallies.count(verdict, status, 0.003)
    assert take(tallies) == [("allow", 200, 2), ("allow", 502, 1), ("deny", 403, 1)]
    assert take(tallies) == []
    tallies.count(allow, 200, 0.003)
    assert take(tallies) == [("allow", 200, 1)]
    assert counters.allowed == {200: 3, 502: 1}
    assert counters.denied == {403: 1}


def test_equal_requests_become_one_record_whoever_judged_them(judge: Judge) -> None:
    tallies = Tallies(Counters())
    grounds = judge("/api").grounds
    for path in ("/api/1", "/api/2", "/api/1"):
        tallies.count(Permit(grounds, "GET", path, "a"), 200, 0.003)
    assert take(tallies) == [("allow", 200, 2), ("allow", 200, 1)]


def test_record_says_who_whom_what_and_why(judge: Judge) -> None:
    tallies = Tallies(Counters())
    tallies.count(judge("/no?secret=1"), 403, 0.0)
    (record,) = tallies.take("n1", 5, lambda: "id")
    assert (record.node, record.id, record.time_ns, record.direction) == ("n1", "id", 5, Direction.INGRESS)
    assert record.verdict is Verdict.DENY
    assert (record.source.namespace, record.source.pod) == ("t", "client")
    assert record.source.identity == FACTS.source_identity
    assert (record.destination.pod, record.destination.port) == ("server", 8080)
    assert record.http is not None
    assert (record.http.method, record.http.path, record.http.host) == ("GET", "/no", "a")
    assert record.drop_reason == "policy-default"
    assert [ref.policy for ref in record.rules] == ["t/http"]


def test_what_does_not_fit_is_counted_as_lost(judge: Judge) -> None:
    counters = Counters()
    tallies = Tallies(counters, limit=2)
    for number in range(5):
        tallies.count(judge(f"/api/{number}"), 200, 0.0)
    assert len(take(tallies)) == 2
    assert (counters.flows_lost, tallies.take_lost(), tallies.take_lost()) == (3, 3, 0)
    assert counters.allowed == {200: 5}


def test_requests_that_never_repeat_share_a_record_that_names_no_path(judge: Judge) -> None:
    counters = Counters()
    tallies = Tallies(counters)
    paths = [f"/api/{number}" for number in range(Crowd.ROOM + 9)]
    for _ in range(2):  # what comes after a batch is told apart anew
        for path in (*paths, "/no"):
            tallies.count(judge(path), 200, 0.0)
        records = tallies.take("n1", 5, lambda: "id")
        *named, others = [record for record in records if record.verdict is Verdict.ALLOW]
        assert [record.http.path for record in named if record.http] == paths[: Crowd.ROOM]
        assert others.http is not None
        assert (others.http.method, others.http.path, others.http.host, others.count) == ("GET", "", "", 9)
        assert others.rules == named[0].rules
        # those who are denied do not suffer from those who are allowed
        assert [record.http.path for record in records if record.http and record.verdict is Verdict.DENY] == ["/no"]
    assert counters.flows_lost == 0


def test_a_request_that_is_told_apart_is_so_with_every_status(judge: Judge) -> None:
    tallies = Tallies(Counters())
    paths = [f"/api/{number}" for number in range(Crowd.ROOM)]
    for status in (200, 502):
        for path in paths:
            tallies.count(judge(path), status, 0.0)
    assert len(take(tallies)) == 2 * len(paths)


def test_durations_fall_into_their_buckets(judge: Judge) -> None:
    counters = Counters()
    tallies = Tallies(counters)
    verdict = judge("/api")
    for seconds in (0.0, DURATION_BOUNDS_S[0], 0.02, 99.0):
        tallies.count(verdict, 200, seconds)
    assert counters.duration_buckets[0] == 2
    assert counters.duration_buckets[-1] == 1
    assert sum(counters.duration_buckets) == 4


def test_words_are_counted() -> None:
    slots: dict[str, int] = {}
    add(slots, "a")
    add(slots, "a")
    assert slots == {"a": 2}
