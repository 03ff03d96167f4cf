"""Every message of llhttp's suite through a real worker over sockets, with an upstream that records what it got."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from l7proxy.core.chunks import ChunkReader
from l7proxy.core.limits import Limits
from tests.support.proxy import OK, Proxy, Upstream, answering, read_all, statuses
from tests.support.waiting import eventually

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text())
REQUESTS = [case for case in CASES if case["type"].startswith("request")]
RESPONSES = [case for case in CASES if case["type"].startswith("response")]


def name_of(case: dict[str, Any]) -> str:
    return f"{case['file'].removesuffix('.md')}: {case['title']}"


class Recorder:
    """One proxy for all cases; what reached the upstream since `begin`."""

    def __init__(self) -> None:
        self.response = OK
        self.upstream = Upstream(self._behave)
        self.proxy = Proxy(self.upstream.address, limits=Limits(head_s=0.5, pool_idle_s=0.0))

    def _behave(self, upstream: Upstream, made: socket.socket) -> None:
        answering(self.response)(upstream, made)

    def close(self) -> None:
        self.proxy.close()
        self.upstream.close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    yield made
    made.close()


def wait_for_head(upstream: Upstream) -> bytes:
    return eventually(lambda: upstream.all, lambda reached: b"\r\n\r\n" in reached)


def test_the_data_is_whole() -> None:
    assert (len(REQUESTS), len(RESPONSES)) == (166, 85)
    wanted = {want: sum(case["want"] == want for case in REQUESTS) for want in ("refuse", "abort", "close", "accept")}
    assert wanted == {"refuse": 65, "abort": 8, "close": 3, "accept": 54}


@pytest.mark.parametrize("case", [case for case in REQUESTS if case["want"] == "refuse"], ids=name_of)
def test_refused_request_reaches_nobody(recorder: Recorder, case: dict[str, Any]) -> None:
    answer = recorder.proxy.exchange(case["sent"].encode("utf-8"), finish=False)
    assert recorder.upstream.all == b""
    assert all(status >= 400 for status in statuses(answer))
    assert len(statuses(answer)) <= 1


@pytest.mark.parametrize("case", [case for case in REQUESTS if case["want"] == "accept"], ids=name_of)
def test_accepted_request_reaches_the_upstream(recorder: Recorder, case: dict[str, Any]) -> None:
    with recorder.proxy.connect() as made:
        made.sendall(case["sent"].encode("utf-8"))
        reached = wait_for_head(recorder.upstream)
    assert reached.split(b" ")[0] == case["sent"].encode("utf-8").lstrip().split(b" ")[0]


@pytest.mark.parametrize("case", [case for case in REQUESTS if case["want"] == "abort"], ids=name_of)
def test_malformed_body_never_becomes_a_whole_message(recorder: Recorder, case: dict[str, Any]) -> None:
    answer = recorder.proxy.exchange(case["sent"].encode("utf-8"), finish=False)
    head, _, body = recorder.upstream.all.partition(b"\r\n\r\n")
    reader = ChunkReader(Limits())
    reader.feed(body)
    assert not reader.done
    assert head.count(b" HTTP/1.1") <= 1
    assert all(status >= 400 or b"\r\nConnection: close\r\n" in answer for status in statuses(answer))


@pytest.mark.parametrize("case", [case for case in REQUESTS if case["want"] == "close"], ids=name_of)
def test_bytes_after_the_last_request_are_no_request(recorder: Recorder, case: dict[str, Any]) -> None:
    answer = recorder.proxy.exchange(case["sent"].encode("utf-8"), finish=False)
    assert statuses(answer) == [200]
    assert recorder.upstream.all.count(b" HTTP/1.1\r\n") == 1


@pytest.mark.parametrize("case", [case for case in REQUESTS if case["want"] == "either"], ids=name_of)
def test_doubtful_request_is_refused_whole_or_forwarded_clear(recorder: Recorder, case: dict[str, Any]) -> None:
    with recorder.proxy.connect() as made:
        made.sendall(case["sent"].encode("utf-8"))
        first = made.recv(1 << 16)
        with contextlib.suppress(OSError):  # the proxy may have closed it
            made.shutdown(socket.SHUT_WR)
        answer = first + read_all(made)
    reached = recorder.upstream.all
    assert statuses(answer)[0] >= 400 if not reached else statuses(answer)[0] in (200, 400)
    assert reached.count(b" HTTP/1.1\r\n") <= case["sent"].count(" HTTP/1.")
    assert b"\nTransfer-Encoding" not in reached.replace(b"\r\nTransfer-Encoding: chunked\r\n", b"")


def binding(case: dict[str, Any]) -> bool:
    return bool(case["error"]) and "lenient" not in case["type"]


def answer_of(recorder: Recorder, raw: bytes) -> bytes:
    def behave(upstream: Upstream, made: socket.socket) -> None:
        held = b""
        for data in upstream.recording(made):
            held += data
            if held.endswith(b"\r\n\r\n"):
                made.sendall(raw)
                made.shutdown(socket.SHUT_WR)

    recorder.upstream._behave = behave
    return recorder.proxy.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", finish=False)


@pytest.mark.parametrize("case", [case for case in RESPONSES if binding(case)], ids=name_of)
def test_response_that_llhttp_refuses_becomes_502(recorder: Recorder, case: dict[str, Any]) -> None:
    answer = answer_of(recorder, case["raw"].encode("utf-8"))
    assert statuses(answer) == [502]


@pytest.mark.parametrize("case", [case for case in RESPONSES if not binding(case)], ids=name_of)
def test_other_response_passes_as_it_is_or_becomes_502(recorder: Recorder, case: dict[str, Any]) -> None:
    raw = case["raw"].encode("utf-8")
    final = next(status for status in statuses(answer_of(recorder, raw)) if status >= 200)
    assert final == 502 or str(final).encode() in raw
