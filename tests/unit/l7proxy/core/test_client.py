"""One client connection, fed with bytes.

Long because it mirrors client.py, which is one state machine.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l7proxy.core.authz import Pair, Permit
from l7proxy.core.limits import Limits
from l7proxy.core.sides import LINGER
from mesh.model import Action
from mesh.snapshot import ProxyView
from tests.support.playbook import Play, get, response
from tests.support.proxy import ALLOW_ALL, FACTS, header, ingress, prefix, rule, statuses, view

ONLY_API = view(ingress(rule(http=(prefix("/api", "GET", "POST", "HEAD"),))))
NOTHING = view(ingress(), 2)


def test_request_is_forwarded_as_received_and_answered() -> None:
    play = Play()
    play.ask(get("/x?y=1"))
    assert play.forwarded == get("/x?y=1")
    play.respond(response())
    assert play.sent == response()
    assert not play.pipe.over


def test_connection_to_the_upstream_is_used_again() -> None:
    play = Play()
    for _ in range(3):
        play.ask(get())
        play.respond(response())
    assert len(play.site.upstreams) == 1
    assert play.sent == response() * 3


def test_connection_to_the_upstream_that_is_closing_is_not_used_again() -> None:
    play = Play()
    play.ask(get())
    play.respond(response())
    play.site.upstreams[0][1].close()
    post = get("/", "Content-Length: 1", method="POST") + b"x"
    play.ask(post)
    assert play.site.upstreams[1][1].sent == post
    play.respond(response())
    assert play.sent == response() * 2


def test_denied_request_gets_403_that_names_nothing_and_goes_nowhere() -> None:
    play = Play(ONLY_API)
    play.ask(get("/admin"))
    assert play.sent.endswith(b"\r\n\r\nForbidden\n")
    assert statuses(play.sent) == [403]
    assert b"t/http" not in play.sent
    assert play.forwarded == b""
    assert not play.pipe.over


def test_pipelined_allow_and_deny_in_one_segment_are_judged_one_by_one_and_answered_in_order() -> None:
    play = Play(ONLY_API)
    play.ask(get("/api/1") + get("/admin") + get("/api/2") + get("/admin"))
    assert play.forwarded == get("/api/1")
    play.respond(response(b"one"))
    assert play.forwarded == get("/api/1") + get("/api/2")
    play.respond(response(b"two"))
    assert statuses(play.sent) == [200, 403, 200, 403]
    assert b"/admin" not in play.forwarded


def test_request_that_waits_is_judged_by_the_policy_of_its_turn() -> None:
    play = Play(ONLY_API)
    play.ask(get("/api/1") + get("/api/2"))
    play.swap(view(ingress(rule(http=(prefix("/api/1"),))), 2))
    play.respond(response())
    assert statuses(play.sent) == [200, 403]
    assert play.forwarded == get("/api/1")


def test_second_request_with_another_host_gets_a_verdict_of_its_own() -> None:
    host = replace(prefix("/api"), hosts=("a",))
    play = Play(view(ingress(rule(http=(host,)))))
    play.ask(get("/api"))
    play.respond(response())
    play.ask(get("/api", host="b"))
    assert statuses(play.sent) == [200, 403]


def test_policy_that_forbids_the_pair_cuts_an_idle_connection_at_once() -> None:
    play = Play(ONLY_API)
    play.ask(get("/api"))
    play.respond(response())
    play.swap(NOTHING)
    assert play.site.resets == [play.pipe]
    assert play.site.counters.reset_by_policy == 1


def test_policy_that_forbids_the_pair_cuts_a_request_in_flight() -> None:
    play = Play(ONLY_API)
    play.ask(get("/api"))
    play.swap(NOTHING)
    assert play.pipe.aborted
    assert play.site.upstreams[0][1].aborted
    assert play.site.counters.allowed == {0: 1}


def test_policy_change_leaves_an_idle_connection_that_may_still_speak() -> None:
    play = Play(ONLY_API)
    play.swap(view(ingress(rule(http=(prefix("/other"),))), 2))
    assert not play.pipe.over
    play.ask(get("/api"))
    assert statuses(play.sent) == [403]


ONLY_OTHER = view(ingress(rule(http=(prefix("/other"),))), 2)


def test_request_is_judged_by_the_newest_view_before_anybody_looked_at_its_connection() -> None:
    play = Play(ONLY_API)
    play.ask(get("/api"))
    play.respond(response())
    play.swap(ONLY_OTHER, look=False)
    play.ask(get("/api"))
    play.ask(get("/other"))
    play.respond(response())
    assert statuses(play.sent) == [200, 403, 200]
    assert play.forwarded == get("/api") + get("/other")


def test_request_on_a_connection_that_is_forbidden_by_now_cuts_it_and_goes_nowhere() -> None:
    play = Play(ONLY_API)
    play.swap(NOTHING, look=False)
    play.ask(get("/api") + get("/api"))
    assert play.site.resets == [play.pipe]
    assert play.site.counters.reset_by_policy == 1
    assert (play.sent, play.site.upstreams) == (b"", [])


def test_request_that_waits_for_its_upstream_goes_nowhere_once_the_pair_is_forbidden() -> None:
    play = Play(ONLY_API, at_once=False)
    play.ask(get("/api"))
    play.swap(NOTHING, look=False)
    play.site.connect()
    assert play.site.resets == [play.pipe]
    assert play.forwarded == b""
    assert play.site.counters.allowed == {0: 1}


@pytest.mark.parametrize(("now", "seen"), [(ONLY_OTHER, [200, 403]), (NOTHING, [200])])
def test_retry_asks_under_the_newest_view(now: ProxyView, seen: list[int]) -> None:
    play = Play(ONLY_API)
    play.ask(get("/api"))
    play.respond(response())
    play.ask(get("/api"))
    play.swap(now, look=False)
    play.site.upstreams[0][0].lost(orderly=True)
    assert statuses(play.sent) == seen
    assert len(play.site.upstreams) == 1
    assert play.pipe.aborted is (now is NOTHING)


def test_client_that_has_gone_is_not_renewed() -> None:
    play = Play(ONLY_API, at_once=False)
    play.ask(get("/api"))
    play.client.lost()
    play.swap(ONLY_OTHER, look=False)
    play.site.connect()
    assert play.client.pair.revision == 1


def test_body_that_looks_like_a_request_stays_a_body() -> None:
    play = Play(ONLY_API)
    inner = get("/admin")
    play.ask(get("/api", f"Content-Length: {len(inner)}", method="POST") + inner)
    play.respond(response())
    assert statuses(play.sent) == [200]
    assert play.forwarded.endswith(inner)
    assert play.site.counters.denied == {}


@pytest.mark.parametrize("framing", ["Content-Length: {}", "Transfer-Encoding: chunked"])
def test_body_of_a_denied_request_is_neither_forwarded_nor_read_as_a_request(framing: str) -> None:
    play = Play(ONLY_API)
    inner = get("/api/inner")
    play.ask(get("/admin", framing.format(len(inner)), method="POST") + inner)
    play.ask(inner)
    assert statuses(play.sent) == [403]
    assert b"\r\nConnection: close\r\n" in play.sent
    assert play.pipe.over
    assert play.forwarded == b""


def test_denied_head_request_has_no_body_in_its_answer() -> None:
    play = Play(ONLY_API)
    play.ask(get("/admin", method="HEAD"))
    assert play.sent.endswith(b"\r\n\r\n")


def test_headers_named_in_connection_are_dropped_before_policy_looks() -> None:
    play = Play(view(ingress(rule(http=(header("x-env", "prod"),)))))
    play.ask(get("/", "X-Env: prod", "Connection: x-env"))
    assert statuses(play.sent) == [403]
    play = Play(view(ingress(rule(http=(header("x-env", "prod"),)))))
    play.ask(get("/", "X-Env: prod", "Connection: keep-alive"))
    assert play.forwarded == get("/", "X-Env: prod")


def test_deny_rule_beats_allow_rule() -> None:
    play = Play(view(ingress(rule("all"), rule("no", action=Action.DENY, http=(prefix("/api/secret"),)))))
    play.ask(get("/api/secret/1"))
    play.ask(get("/api/public"))
    play.respond(response())
    assert statuses(play.sent) == [403, 200]


def test_remembered_verdict_is_the_pairs_own() -> None:
    play = Play(ONLY_API)
    play.ask(get("/api"))
    play.respond(response())
    play.swap(view(ingress(rule(http=(prefix("/other"),))), 2))
    play.ask(get("/api"))
    assert statuses(play.sent) == [200, 403]


def test_nothing_is_judged_by_a_view_below_the_floor() -> None:
    """The agent has acknowledged a newer policy; this worker has not heard of it yet."""
    play = Play(ALLOW_ALL)
    play.ask(get("/"))
    play.respond(response())
    play.site.floor[0] = play.site.revision + 1
    play.ask(get("/") + get("/"))
    assert statuses(play.sent) == [200, 503]
    assert play.forwarded == get("/")
    assert play.site.counters.refused == {"behind": 1}
    assert play.client.phase == LINGER


def test_nothing_is_tried_again_by_a_view_below_the_floor() -> None:
    play = Play(ALLOW_ALL)
    play.ask(get("/"))
    play.respond(response())
    play.ask(get("/"))
    play.site.floor[0] = play.site.revision + 1
    play.site.upstreams[0][0].lost(orderly=True)
    assert statuses(play.sent) == [200, 502]
    assert len(play.site.upstreams) == 1


def test_permit_of_another_revision_is_not_taken() -> None:
    play = Play(ONLY_API)
    head = play.site.heads.request(get("/api"), b"a").head
    permit = Pair(FACTS, ONLY_API).judge(head)
    assert isinstance(permit, Permit)
    with pytest.raises(AssertionError, match="another pair"):
        play.client._forward(head, permit)


def test_answer_carries_connection_close_where_the_client_asked() -> None:
    play = Play()
    play.ask(get("/", "Connection: close"))
    play.respond(response())
    assert play.sent == response(b"ok", "Connection: close")
    assert play.pipe.eof


def test_http10_client_gets_its_answer_closed_or_kept_as_asked() -> None:
    play = Play()
    play.ask(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert play.forwarded == get()
    play.respond(response())
    assert b"\r\nConnection: close\r\n" in play.sent
    kept = Play()
    kept.ask(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    kept.respond(response())
    assert b"\r\nConnection: keep-alive\r\n" in kept.sent
    assert not kept.pipe.over


def test_http10_client_gets_no_chunks_and_no_informational_answer() -> None:
    play = Play()
    play.ask(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    play.respond(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    play.respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    assert play.sent == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"
    assert play.pipe.eof


def test_expect_continue_goes_through_and_so_does_the_answer() -> None:
    play = Play()
    play.ask(get("/", "Expect: 100-continue", "Content-Length: 2", method="POST"))
    assert b"Expect: 100-continue" in play.forwarded
    play.respond(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert play.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    play.ask(b"hi")
    play.respond(response())
    assert statuses(play.sent) == [100, 200]
    assert play.forwarded.endswith(b"\r\n\r\nhi")


def test_connect_and_unknown_expectations_are_refused() -> None:
    for request, status in ((b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405), (get("/", "Expect: tea"), 417)):
        play = Play()
        play.ask(request)
        assert statuses(play.sent) == [status]
        assert play.pipe.over
        assert play.forwarded == b""


def test_upgrade_is_not_passed_on_and_the_request_is() -> None:
    play = Play()
    play.ask(get("/chat", "Connection: Upgrade, x-secret", "Upgrade: websocket", "X-Secret: 1", "TE: trailers"))
    assert play.forwarded == get("/chat")


def test_absolute_form_is_judged_and_forwarded_by_its_own_authority() -> None:
    host = replace(prefix("/api"), hosts=("good.example",))
    play = Play(view(ingress(rule(http=(host,)))))
    play.ask(b"GET http://good.example:8080/api HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert play.forwarded == b"GET /api HTTP/1.1\r\nHost: good.example:8080\r\n\r\n"
    other = Play(view(ingress(rule(http=(host,)))))
    other.ask(b"GET http://evil.example/api HTTP/1.1\r\nHost: good.example\r\n\r\n")
    assert statuses(other.sent) == [403]


def test_chunked_body_with_trailers_goes_on_with_them() -> None:
    play = Play()
    play.ask(get("/", "Transfer-Encoding: chunked", method="POST") + b"3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert play.forwarded.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")


def test_malformed_body_ends_both_sides_and_the_upstream_never_sees_its_end() -> None:
    play = Play()
    play.ask(get("/", "Transfer-Encoding: chunked", method="POST"))
    play.ask(b"3\r\nabcX")
    assert statuses(play.sent) == [400]
    assert play.site.upstreams[0][1].aborted
    assert not play.forwarded.endswith(b"0\r\n\r\n")


def test_client_that_leaves_takes_its_upstream_along() -> None:
    play = Play()
    play.ask(get())
    play.client.lost()
    assert play.site.upstreams[0][1].aborted
    assert play.site.counters.allowed == {499: 1}


def test_end_of_input_waits_for_the_answer_that_is_owed() -> None:
    play = Play()
    play.ask(get() + get("/2"))
    play.client.feed_eof()
    play.respond(response())
    play.respond(response())
    assert statuses(play.sent) == [200, 200]
    assert play.pipe.closed


def test_idempotent_request_is_tried_again_once_when_a_used_connection_was_closed() -> None:
    play = Play()
    play.ask(get())
    play.respond(response())
    play.ask(get("/again"))
    play.site.upstreams[0][0].lost(orderly=True)
    assert bytes(play.site.upstreams[1][1].sent) == get("/again")
    play.site.upstreams[1][0].lost(orderly=True)
    assert statuses(play.sent) == [200, 502]
    assert play.site.counters.upstream_retries == 1


def test_request_that_is_not_idempotent_or_has_a_body_is_not_tried_again() -> None:
    for again in (get(method="POST"), get("/", "Content-Length: 2", method="PUT") + b"hi"):
        play = Play()
        play.ask(get())
        play.respond(response())
        play.ask(again)
        play.site.upstreams[0][0].lost(orderly=True)
        assert len(play.site.upstreams) == 1
        assert statuses(play.sent) == [200, 502]


def test_retry_asks_policy_again() -> None:
    play = Play(ONLY_API)
    play.ask(get("/api"))
    play.respond(response())
    play.ask(get("/api"))
    play.swap(view(ingress(rule(http=(prefix("/other"),))), 2))
    play.site.upstreams[0][0].lost(orderly=True)
    assert statuses(play.sent) == [200, 403]
    assert len(play.site.upstreams) == 1


def test_pipelined_bytes_are_bounded_by_not_reading() -> None:
    play = Play(limits=Limits(pipelined_bytes=1000))
    play.ask(get())
    play.ask(get("/2") * 100)
    assert not play.pipe.reading
    for _ in range(101):
        play.respond(response())
    assert play.pipe.reading
    assert len(statuses(play.sent)) == 101


def test_body_waits_for_its_upstream_connection() -> None:
    play = Play(at_once=False)
    play.ask(get("/", "Content-Length: 4", method="POST") + b"ab")
    assert not play.pipe.reading
    play.site.connect()
    assert play.pipe.reading
    play.ask(b"cd")
    assert play.forwarded.endswith(b"\r\n\r\nabcd")


def test_connection_that_stands_too_late_is_kept_for_the_next() -> None:
    play = Play(at_once=False)
    play.ask(get())
    play.client.lost()
    play.site.connect()
    assert len(play.site.shelf.idle) == 1
    assert play.forwarded == b""


def test_failed_connection_becomes_5xx_and_the_client_connection_goes_on() -> None:
    play = Play(at_once=False)
    play.ask(get())
    play.client.unconnected("connect-refused", 502)
    assert statuses(play.sent) == [502]
    assert not play.pipe.over
    assert play.site.counters.upstream_errors == {"connect-refused": 1}


@pytest.mark.parametrize(
    ("asked", "waited", "status"),
    [
        (b"GET / HT", 11.0, 408),
        (get("/", "Content-Length: 5", method="POST") + b"ab", 61.0, 408),
        (get(), 301.0, 504),
    ],
)
def test_overdue_connections_are_answered_and_ended(asked: bytes, waited: float, status: int) -> None:
    play = Play()
    play.ask(asked)
    play.client.check(play.site.now + waited - 2)
    assert play.sent == b""
    play.client.check(play.site.now + waited)
    assert statuses(play.sent) == [status]


def test_slow_head_is_measured_from_its_first_byte() -> None:
    play = Play()
    for _ in range(6):
        play.ask(b"G" if not play.client.began else b"E")
        play.site.now += 2
        play.client.check(play.site.now)
    assert statuses(play.sent) == [408]
    assert play.site.counters.refused == {"head-timeout": 1}


def test_idle_connection_is_closed_after_its_time() -> None:
    play = Play()
    play.client.check(play.site.now + 299)
    assert not play.pipe.over
    play.client.check(play.site.now + 301)
    assert play.pipe.closed


def test_client_that_never_reads_its_last_answer_is_let_go() -> None:
    play = Play()
    play.ask(get())
    play.client.writable(can=False)
    play.client.feed_eof()
    play.respond(response())
    assert play.pipe.closed  # which waits for the client to read
    play.client.check(play.site.now + 59)
    assert not play.pipe.aborted
    play.client.check(play.site.now + 61)
    assert play.pipe.aborted


def test_connection_that_is_being_closed_is_not_held_open_by_sending_on() -> None:
    play = Play()
    play.ask(b"junk\r\n\r\n")
    assert play.pipe.eof
    for _ in range(70):
        play.site.now += 1
        play.ask(b"x")
        play.client.check(play.site.now)
    assert play.pipe.aborted


def test_draining_answers_with_connection_close() -> None:
    play = Play()
    play.ask(get())
    play.site.draining = True
    play.respond(response())
    assert play.sent == response(b"ok", "Connection: close")
    assert play.pipe.eof


def test_client_that_does_not_read_stops_its_upstream() -> None:
    play = Play()
    play.ask(get())
    play.client.writable(can=False)
    assert not play.site.upstreams[0][1].reading
    play.client.writable(can=True)
    assert play.site.upstreams[0][1].reading


def test_client_that_does_not_read_its_refusals_is_not_read_from() -> None:
    play = Play(ONLY_API)
    play.client.writable(can=False)
    assert not play.pipe.reading
    play.ask(get("/admin"))
    assert play.sent == b""
    play.client.writable(can=True)
    assert statuses(play.sent) == [403]


def test_oversized_head_is_refused_before_its_end() -> None:
    play = Play(limits=Limits(head_bytes=1000))
    play.ask(b"GET / HTTP/1.1\r\nX: " + b"a" * 1000)
    assert statuses(play.sent) == [431]


def test_bytes_that_cannot_become_a_request_are_refused_at_once() -> None:
    for junk in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\nHost: a\n", b"GET / HTTP/1.1\r\nA: b\rc"):
        play = Play()
        play.ask(junk)
        assert statuses(play.sent) == [400]
        assert play.pipe.over


def test_early_answer_to_an_unfinished_request_ends_both_connections() -> None:
    play = Play()
    play.ask(get("/", "Content-Length: 100", method="POST") + b"part")
    play.respond(response(b"no", status="413 Content Too Large"))
    assert statuses(play.sent) == [413]
    assert b"\r\nConnection: close\r\n" in play.sent
    assert play.pipe.eof
    assert play.site.upstreams[0][1].aborted


CONVERSATIONS = [
    get("/api/1") + get("/admin") + get("/api/2"),
    get("/api", "Content-Length: 5", method="POST") + b"hello" + get("/api"),
    get("/api", "Transfer-Encoding: chunked", method="POST")
    + b"5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    + get("/api"),
    b"\r\n\r\n" + get("/api", "Connection: x-a", "X-A: 1") + b"\r\n" + get("/api", "Connection: close") + get("/api"),
    get("/api") + b"GET /api HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n" + get("/api"),
    get("/api", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhelloX\r\n",
    get("/api", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n" + get("/api"),
    get("/admin", "Content-Length: 30", method="POST") + get("/api"),
    b"POST http://b/api HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc" + get("/api/%2e%2e/x"),
]


def conversation(pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    """What client and upstream saw in the end. The upstream answers whatever has come, after each piece."""
    play = Play(ONLY_API)
    for piece in [*pieces, b""]:
        if piece:
            play.ask(piece)
        for upstream, _ in list(play.site.upstreams):
            while upstream.client is not None and not upstream.client.request_unfinished:
                upstream.feed(response())
    return play.sent, whole_messages(play.forwarded), play.pipe.over


def whole_messages(forwarded: bytes) -> bytes:
    """Chunk sizes may follow the reads: compare payloads."""
    return forwarded.replace(b"\r\n", b"\n").translate(None, b"0123456789\n")


@pytest.mark.parametrize("number", range(len(CONVERSATIONS)))
@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_every_split_of_the_bytes_gives_the_same_conversation(number: int, cuts: list[int]) -> None:
    data = CONVERSATIONS[number]
    at = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[begin:end] for begin, end in zip(at, at[1:], strict=False)]
    whole, split = conversation([data]), conversation(pieces)
    assert statuses(split[0]) == statuses(whole[0])
    assert split[2] == whole[2]
    if statuses(whole[0])[-1] != 400:
        assert split[1] == whole[1]


@pytest.mark.parametrize("number", range(len(CONVERSATIONS)))
def test_bytes_one_by_one_give_the_same_conversation(number: int) -> None:
    data = CONVERSATIONS[number]
    whole, split = conversation([data]), conversation([data[i : i + 1] for i in range(len(data))])
    assert statuses(split[0]) == statuses(whole[0])
