"""The `http:` part of a rule."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.model import HeaderMatch, HttpMatch, Match, PathMatch
from mesh.objects.httpmatches import read_http
from mesh.objects.reader import Reader, Report


def read(value: object) -> tuple[tuple[HttpMatch, ...] | None, list[str]]:
    report = Report("", "")
    found = read_http(Reader({"http": value}, (), report), "http")
    return found, [f"{problem.field}: {problem.reason}" for problem in report.problems]


def test_missing_means_the_whole_port() -> None:
    assert read(None) == (None, [])


def test_an_entry_is_read_into_the_spelling_of_requests() -> None:
    entry = {
        "methods": ["GET", "HEAD"],
        "paths": [{"exact": "/%61"}, {"prefix": "/api/"}, {"regex": "/v[0-9]+/items"}],
        "hosts": ["Payments.Shop"],
        "headers": [{"name": "X-Env", "exact": "prod"}, {"name": "a", "present": True}, {"name": "b", "absent": True}],
    }
    assert read([entry]) == (
        (
            HttpMatch(
                methods=("GET", "HEAD"),
                paths=(
                    PathMatch(Match.EXACT, "/a"),
                    PathMatch(Match.PREFIX, "/api/"),
                    PathMatch(Match.REGEX, "/v[0-9]+/items"),
                ),
                hosts=("payments.shop",),
                headers=(
                    HeaderMatch("x-env", Match.EXACT, "prod"),
                    HeaderMatch("a", Match.PRESENT),
                    HeaderMatch("b", Match.ABSENT),
                ),
            ),
        ),
        [],
    )


def test_an_entry_that_asks_nothing_is_taken() -> None:
    assert read([{}]) == ((HttpMatch(),), [])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "http: is empty and would match no request"),
        ({}, "http: expected a list"),
        ([{"methods": ["get"]}], "http[0].methods[0]: 'get': methods are case-sensitive, write GET"),
        ([{"methods": "GET"}], "http[0].methods: expected a list"),
        ([{"paths": [{"exact": "api"}]}], "http[0].paths[0].exact: 'api': the path does not begin with a slash"),
        ([{"paths": [{"exact": "/a/../b"}]}], "http[0].paths[0].exact: '/a/../b': a dot segment"),
        ([{"paths": [{"prefix": "/a?x"}]}], "http[0].paths[0].prefix: '/a?x': a query is not part of the path"),
        ([{"paths": [{"regex": "a("}]}], "http[0].paths[0].regex: 'a(' is no RE2 pattern: missing )"),
        ([{"paths": [{"regex": "/%61"}]}], "http[0].paths[0].regex: '/%61': '%61' is compared as 'a'"),
        ([{"paths": [{"exact": "/a", "prefix": "/b"}]}], "http[0].paths[0]: exactly one of exact, prefix, regex"),
        ([{"paths": [{}]}], "http[0].paths[0]: exactly one of"),
        ([{"paths": [{"suffix": "/a"}]}], "http[0].paths[0].suffix: unknown field"),
        ([{"hosts": ["payments:80"]}], "http[0].hosts[0]: 'payments:80': give the host without a port"),
        ([{"hosts": ["*.shop"]}], "http[0].hosts[0]: '*.shop': wildcards in hosts are not supported yet"),
        ([{"headers": [{"name": "a b", "exact": "x"}]}], "http[0].headers[0].name: 'a b' is not a header name"),
        (
            [{"headers": [{"name": "TE", "present": True}]}],
            "http[0].headers[0].name: 'TE': the proxy takes this field away",
        ),
        (
            [{"headers": [{"name": "proxy-x", "exact": "a"}]}],
            "http[0].headers[0].name: 'proxy-x': the proxy takes this",
        ),
        ([{"headers": [{"name": "Host", "exact": "a"}]}], "http[0].headers[0].name: 'Host': write `hosts`"),
        ([{"headers": [{"exact": "x"}]}], "http[0].headers[0].name: is missing"),
        ([{"headers": [{"name": "a"}]}], "http[0].headers[0]: exactly one of exact, prefix, regex, present, absent"),
        ([{"headers": [{"name": "a", "present": False}]}], "http[0].headers[0].present: can only be true"),
        ([{"headers": [{"name": "a", "regex": "["}]}], "http[0].headers[0].regex: '[' is no RE2 pattern"),
        ([{"headers": [{"name": "a", "exact": "é"}]}], "http[0].headers[0].exact: 'é' is beyond ASCII"),
        ([{"headers": [{"name": "a", "prefix": "naïve"}]}], "http[0].headers[0].prefix: 'ï' is beyond ASCII"),
        ([{"headers": [{"name": "a", "regex": "x|é"}]}], "http[0].headers[0].regex: 'é' is beyond ASCII"),
        ([{"headers": [{"name": "a", "exact": "x\n"}]}], "http[0].headers[0].exact: 'x\\n': no header value holds a"),
        ([{"headers": [{"name": "a", "exact": " x"}]}], "http[0].headers[0].exact: ' x': white space around a value"),
        (
            [{"headers": [{"name": "a", "exact": "x\t"}]}],
            "http[0].headers[0].exact: 'x\\t': white space around a value",
        ),
        ([{"headers": [{"name": "a", "prefix": " x"}]}], "http[0].headers[0].prefix: ' x': white space before a value"),
        ([{"grpc": [{"service": "a.B"}]}], "http[0].grpc: not supported yet"),
        ([{"method": ["GET"]}], "http[0].method: unknown field; did you mean 'methods'?"),
    ],
)
def test_bad_entries_are_refused(value: Any, problem: str) -> None:
    _, found = read(value)
    assert any(text.startswith(problem) for text in found), found


@pytest.mark.parametrize(
    "given",
    [
        {"exact": ""},
        {"exact": "a\tb, c"},
        {"prefix": "Bearer "},
        {"regex": "a|\\x{e9}"},
        {"regex": "[^a] "},
    ],
)
def test_a_header_value_that_a_request_can_hold_is_taken(given: dict[str, str]) -> None:
    ((way, value),) = given.items()
    assert read([{"headers": [{"name": "a", **given}]}]) == (
        (HttpMatch(headers=(HeaderMatch("a", Match(way), value),)),),
        [],
    )
