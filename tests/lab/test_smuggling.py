"""One connection, several requests: each is authorised by itself, and the upstream sees only what was authorised."""

from __future__ import annotations

import re
import sys

import pytest

from tests.support.cluster import PROBES, Cluster


def request(path: str, *, host: str = "probe", method: str = "GET", extra: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode()


def send(mesh: Cluster, data: bytes, server: str = "t/server-b") -> str:
    done = mesh.weft(
        "lab",
        "exec",
        "t/client-a",
        "--",
        sys.executable,
        "-m",
        PROBES,
        "raw",
        mesh.address(server),
        "8080",
        stdin=data.hex(),
    )
    answer: str = done.json()["answer"]
    return answer


END = request("/public/end", extra="Connection: close\r\n")
"""Answers come in order, and after this one's the connection ends: nothing that was before it is still to come."""


def statuses(answer: str) -> list[str]:
    return re.findall(r"HTTP/1\.1 (\d{3})", answer)


@pytest.mark.parametrize("server", ["t/server-a", "t/server-b"], ids=["one node", "two nodes"])
def test_pipelined_allow_and_deny_in_one_segment(mesh: Cluster, server: str) -> None:
    answer = send(mesh, request("/public/1") + request("/secret") + END, server)
    assert statuses(answer) == ["200", "403", "200"]
    assert '"/secret"' not in answer
    assert "/public/1" in answer


def test_second_request_to_another_path_has_a_verdict_of_its_own(mesh: Cluster) -> None:
    answer = send(mesh, request("/public/1") + request("/secret/second?a=1", host="other") + END)
    assert statuses(answer) == ["200", "403", "200"]
    flow = mesh.wait_for_flow(
        lambda flow: flow["verdict"] == "deny" and flow.get("http", {}).get("path") == "/secret/second"
    )
    assert "t/server-http" in flow["policies"]


SECRET = b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"
PUBLIC = b"GET /public HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "payload",
    [
        b"POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + SECRET,
        b"GET /public HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n" + SECRET,
        b"GET /public HTTP/1.1\nHost: a\n\n" + SECRET,
        b"GET /public/../secret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /public/%2e%2e/secret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /public%2f..%2fsecret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /public\\secret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /public HTTP/1.1\r\nHost: a\r\nX-A: b\r\n folded\r\n\r\n",
        b"GET /public HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /public HTTP/1.1\r\n\r\n",
        b"GET /public HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET http://a/public HTTP/1.1\r\nHost: b\r\nHost: c\r\n\r\n",
        PUBLIC + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SECRET,
        PUBLIC + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SECRET,
        PUBLIC + b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SECRET,
        PUBLIC + b"Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n" + SECRET,
        PUBLIC + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 50\r\n\r\n" + SECRET,
        PUBLIC + b"Connection: content-length\r\nContent-Length: 36\r\n\r\n" + SECRET,
        b"POST /public HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECRET,
        b"GET /public HTTP/1.1\r\nHost: a\rX: y\r\n\r\n" + SECRET,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECRET,
        b"GET /public\r\n\r\n" + SECRET,
    ],
    ids=[
        "cl and te",
        "two lengths",
        "bare lf",
        "dot segments",
        "encoded dots",
        "encoded slash",
        "backslash",
        "obs-fold",
        "space before colon",
        "no host",
        "two hosts",
        "absolute form and two hosts",
        "two codings",
        "vertical tab",
        "space before colon of a coding",
        "line feed in a chunk extension",
        "length in a trailer",
        "connection names framing",
        "chunked in http/1.0",
        "bare cr",
        "http/2 preface",
        "http/0.9",
    ],
)
def test_ambiguity_is_refused_and_the_connection_closed(mesh: Cluster, payload: bytes) -> None:
    answer = send(mesh, payload)
    assert statuses(answer) == ["400"], answer
    assert "/secret" not in answer


def test_denied_body_is_no_request(mesh: Cluster) -> None:
    inner = request("/public/inner")
    denied = request("/secret", method="POST", extra=f"Content-Length: {len(inner)}\r\n") + inner
    answer = send(mesh, denied + END)
    assert statuses(answer) in (["403"], ["403", "200"])
    assert "/public/inner" not in answer
