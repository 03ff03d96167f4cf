"""One client connection: its requests one after the other, each authorised by itself, answers in order.

Bytes come in by `feed`; what follows are calls on the client's and the upstream's `Pipe`. Nothing here waits, sleeps or
knows a socket. Pipelined requests stay unread bytes until the one before is answered, so each is judged under the
policy in force when its turn comes, and what waits is bounded.

    IDLE --head--> BODY --end of body--> ANSWER --end of response--> IDLE
      any of them --refusal, close, drain--> LINGER (our side is shut, input is thrown away) --> GONE

Long because the life of an exchange is one state machine: cut in two, each half would have to know the other's states.
"""

from __future__ import annotations

import re

from l7proxy.core.authz import Denial, Pair, Permit
from l7proxy.core.facts import ConnectionFacts, Pipe
from l7proxy.core.heads import KnownRequest
from l7proxy.core.local_answers import FORBIDDEN, answer
from l7proxy.core.refusal import RequestRefused
from l7proxy.core.request_body import BodyBroken, RequestBody, body_of
from l7proxy.core.request_head import RequestHead
from l7proxy.core.sides import ANSWER, BODY, GONE, IDLE, LINGER, Shelf, UpstreamSide
from l7proxy.core.site import Site
from l7proxy.core.tally import add

_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
_BLANK = b"\r\n\r\n"
_EMPTY_LINES = re.compile(rb"(?:\r\n)+")  # before a request: to be ignored (RFC 9112, section 2.2)
_METHOD = re.compile(rb"\r\Z|[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: |\Z)")


class ClientConnection:
    __slots__ = (
        "active",
        "answered",
        "authority",
        "began",
        "body",
        "bytes_in",
        "bytes_out",
        "close_after",
        "dressed",
        "eof",
        "facts",
        "head",
        "held",
        "outbox",
        "pair",
        "paused",
        "phase",
        "pipe",
        "retried",
        "shelf",
        "site",
        "stalled",
        "started",
        "upstream",
        "verdict",
    )

    def __init__(self, site: Site, pipe: Pipe, pair: Pair, facts: ConnectionFacts, shelf: Shelf) -> None:
        self.site = site
        self.pipe = pipe
        self.pair = pair
        self.facts = facts
        self.authority = facts.authority
        self.shelf = shelf
        self.phase = IDLE
        self.held = bytearray()
        """Bytes not read yet: of an unfinished head, or of requests whose turn has not come."""
        self.head: RequestHead | None = None
        self.verdict: Permit | Denial | None = None
        self.upstream: UpstreamSide | None = None
        self.outbox: list[bytes] = []
        """For the upstream, while it is being connected."""
        self.body: RequestBody | None = None
        """What of the request's body is still to come, in BODY."""
        self.answered = False
        """A byte of the final response was sent: no other answer can be given."""
        self.close_after = False
        self.dressed = False
        """The response head has to say something about this connection."""
        self.retried = False
        self.paused = False
        """The client is not read from."""
        self.stalled = False
        """The client does not read: nothing more is asked of the upstream."""
        self.eof = False
        self.started = 0.0
        self.active = site.now
        self.began = 0.0
        """When the first byte of an unfinished head came, 0 where there is none; in LINGER when that began."""
        self.bytes_in = 0
        self.bytes_out = 0

    def waiting_bytes(self) -> int:
        """Held for a reader that is slow: the client, or the upstream of its request."""
        upstream = self.upstream.pipe.get_write_buffer_size() if self.upstream is not None else 0
        return len(self.held) + self.pipe.get_write_buffer_size() + upstream

    # ---- from the client -------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        site = self.site
        site.counters.bytes_from_client += len(data)
        phase = self.phase
        if phase == GONE:
            return
        self.active = site.now
        if phase == IDLE and not self.stalled:
            if self.held:
                self.held += data
                self._read_held()
            elif (known := site.heads.requests.get(data)) is not None:
                self._take(known, len(data))
            else:
                self._read(data)
        elif phase == BODY:
            self._body(data)
        elif phase in (ANSWER, IDLE):
            self._hold(data)

    def feed_eof(self) -> None:
        """The client sends no more; it may still be reading."""
        self.eof = True
        if self.phase in (IDLE, LINGER):
            self._end()
        elif self.phase == BODY:
            self._broken_request("body-cut-off")

    def lost(self) -> None:
        """The connection is gone."""
        self.phase = GONE
        self.held.clear()
        self.outbox.clear()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            if self.verdict is not None:
                self._count(499, "client-gone")
            self.site.discard(upstream)

    def writable(self, *, can: bool) -> None:
        """The client reads too slowly, or again."""
        self.stalled = not can
        if self.pipe.is_closing():
            return
        if self.upstream is not None:
            if can:
                self.upstream.resume()
            else:
                self.upstream.pause()
        elif self.phase == IDLE:
            self.read_on(can=can)
            if can:
                self._read_held()

    def read_on(self, *, can: bool) -> None:
        """Read from the client or let it wait."""
        if can is self.paused and not self.pipe.is_closing():
            self.paused = not can
            if can:
                self.pipe.resume_reading()
            else:
                self.pipe.pause_reading()

    # ---- from the worker -------------------------------------------------------------------------------------

    def reauthorize(self, pair: Pair) -> None:
        """Policy changed. A request that was authorised goes on; a pair that may not speak at all is cut at once."""
        self.pair = pair
        if pair.blocked is not None and self.phase != GONE:
            self.site.counters.reset_by_policy += 1
            self._abort("policy-changed")

    def _renewed(self) -> bool:
        """Ask under the newest view from here on. False: that forbids all, and the connection was cut."""
        self.site.renew(self)
        return self.phase != GONE

    def check(self, now: float) -> None:
        """Called about once a second: is anything overdue?"""
        limits, quiet = self.site.limits, now - self.active
        if self.phase == IDLE:
            if self.began and now - self.began > limits.head_s:
                self._refuse_unread(RequestRefused("head-timeout", 408), len(self.held))
            elif not self.began and quiet > (limits.linger_s if self.site.draining else limits.idle_s):
                self._end()
        elif self.phase == LINGER:
            # One who goes on sending does not hold the connection open for ever.
            if quiet > limits.linger_s or now - self.began > limits.flush_s:
                self._close()
        elif self.phase == GONE:
            # Still here: the last answer waits in our memory for a client that does not read it.
            if quiet > limits.flush_s:
                self._close()
        elif self.phase == BODY:
            if quiet > limits.body_s:
                self._broken_request("body-timeout", 408)
        elif self.phase == ANSWER and quiet > limits.answer_s:
            self.upstream_failed("response-timeout", 504)

    # ---- reading requests ------------------------------------------------------------------------------------

    def _read_held(self) -> None:
        if self.held and self.phase == IDLE and not self.stalled:
            data = bytes(self.held)
            self.held.clear()
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Take requests off `data` until one of them has to wait."""
        while True:
            if data[0] == 0x0D and (empty := _EMPTY_LINES.match(data)):
                data = data[empty.end() :]
                if not data:
                    self.began = 0.0
                    return None
            end = data.find(_BLANK)
            if end < 0:
                return self._hold_head(data)
            end += 4
            self.began = 0.0
            rest = b""
            if end != len(data):
                data, rest = data[:end], data[end:]
            self._request(data)
            phase = self.phase
            if not rest:
                return None
            if phase == BODY:
                return self._body(rest)
            if phase != IDLE or self.stalled:
                return self._hold(rest)
            data = rest

    def _hold_head(self, data: bytes) -> None:
        """The head is not complete. What can be said against it already is said now."""
        if len(data) > self.site.limits.head_bytes:
            return self._refuse_unread(RequestRefused("head-too-long", 431), len(data))
        lines = data.count(b"\r\n")
        if data.count(b"\n") != lines or data.count(b"\r", 0, -1) != lines:
            return self._refuse_unread(RequestRefused("bare-cr-or-lf"), len(data))
        if not _METHOD.match(data):
            return self._refuse_unread(RequestRefused("request-line"), len(data))
        if not self.began:
            self.began = self.site.now
        self.held += data
        return None

    def _hold(self, data: bytes) -> None:
        """Requests whose turn has not come."""
        if self.phase in (LINGER, GONE):
            return
        self.held += data
        if len(self.held) > self.site.limits.pipelined_bytes:
            self.read_on(can=False)

    def _request(self, raw: bytes) -> None:
        try:
            known = self.site.heads.request(raw, self.authority)
        except RequestRefused as problem:
            return self._refuse_unread(problem, len(raw))
        return self._take(known, len(raw))

    def _take(self, known: KnownRequest, size: int) -> None:
        """A request that is clear: judge it by the newest view."""
        site = self.site
        if self.pair.generation != site.generation and not self._renewed():
            return None
        self.started = site.clock()
        head = self.head = known.head
        self.bytes_in = size
        self.bytes_out = 0
        self.answered = self.retried = False
        self.close_after = head.close
        self.dressed = head.close or head.http10
        if site.floor[0] > site.revision:
            return self._refuse(RequestRefused("behind", 503))
        pair = self.pair
        verdict = known.verdict
        if verdict is None or known.pair is not pair:
            try:
                verdict = pair.judge(head)
            except RequestRefused as problem:
                return self._refuse(problem)
            known.pair, known.verdict = pair, verdict
        self.verdict = verdict
        if verdict.denied:
            return self._deny(head, verdict)
        return self._forward(head, verdict)

    def _deny(self, head: RequestHead, denial: Denial) -> None:
        """403, with nothing in it. A body that is not wanted is not read either: the connection ends."""
        if head.length or self.pair.blocked is not None:
            self.close_after = True
        close = self.close_after or self.site.draining
        self._send(answer(FORBIDDEN, head=head.method == b"HEAD", close=close, keep10=head.keep10))
        self._count(403, denial.grounds.reason)
        if close:
            self._linger()

    # ---- forwarding ------------------------------------------------------------------------------------------

    def _forward(self, head: RequestHead, permit: Permit) -> None:
        """Send an authorised request on. Only `Pair.judge` makes a Permit."""
        if permit.grounds.pair is not self.pair:
            raise AssertionError("a permit of another pair or revision")
        if head.length:
            self.phase = BODY
            self.body = body_of(head, self.site.limits)
        else:
            self.phase = ANSWER
        idle = self.shelf.idle
        while idle and not self.retried:
            upstream = idle.pop()
            if upstream.pipe.is_closing():
                continue  # its server has closed it, which is told in the next turn of the loop
            self.upstream = upstream
            upstream.reused = True
            upstream.begin(self, head_only=head.method == b"HEAD")
            upstream.pipe.write(head.forward)
            return
        self.outbox = [head.forward]
        if head.length:
            self.read_on(can=False)
        self.site.open(self)

    def connected(self, upstream: UpstreamSide) -> None:
        """The upstream that `open` promised. Policy may have changed meanwhile: nothing goes where it forbids all."""
        if self.phase != GONE and self.pair.generation != self.site.generation:
            self.site.renew(self)
        head = self.head
        if head is None or self.phase not in (BODY, ANSWER) or self.upstream is not None:
            self.site.release(upstream)
            return
        self.active = self.site.now
        self.upstream = upstream
        upstream.begin(self, head_only=head.method == b"HEAD")
        outbox, self.outbox = self.outbox, []
        upstream.pipe.write(b"".join(outbox))
        self.read_on(can=True)

    def unconnected(self, reason: str, status: int) -> None:
        """No connection to the upstream could be made."""
        if self.phase in (BODY, ANSWER):
            self.upstream_failed(reason, status)

    def _body(self, data: bytes) -> None:
        """Body bytes, and perhaps the beginning of the next request behind them."""
        body = self.body
        if body is None:
            raise AssertionError("a body that nobody expects")
        try:
            out, rest = body.feed(data)
        except BodyBroken:
            return self._broken_request("body-malformed")
        self.bytes_in += len(data) - len(rest)
        if body.done:
            self.phase = ANSWER
            self.body = None
        if out:
            if self.upstream is not None:
                self.upstream.pipe.write(out)
            else:
                self.outbox.append(out)
        return self._hold(rest) if rest else None

    # ---- answers ---------------------------------------------------------------------------------------------

    def send_answer(self, data: bytes) -> None:
        """Bytes of the final response."""
        self.answered = True
        self._send(data)

    def send_informational(self, data: bytes) -> None:
        self._send(data)

    def answer_done(self, status: int) -> None:
        """The response is complete. The upstream has let go of this connection already."""
        self.upstream = None
        self._count(status, "")
        if self.phase == BODY or self.close_after or self.site.draining:
            return self._linger()
        return self._next()

    def _next(self) -> None:
        """Ready for the next request, which may have come already."""
        self.phase = IDLE
        if self.paused:
            self.read_on(can=True)
        if self.held:
            self._read_held()
        if self.eof and self.phase == IDLE:
            self._end()

    def answer_whole(self, status: int, data: bytes) -> None:
        """All of a response that goes as it is, on a connection that goes on: the usual case, in one step."""
        site, size, verdict = self.site, len(data), self.verdict
        self.upstream = None
        self.phase = IDLE
        self.bytes_out += size
        site.counters.bytes_to_client += size
        self.pipe.write(data)
        if verdict is not None:
            site.tallies.count(verdict, status, site.clock() - self.started)
            if site.record is not None:
                site.record(self, status, "")
            self.verdict = None
        if self.held or self.paused or self.eof:
            self._next()

    @property
    def will_close(self) -> bool:
        """Whether the response to be sent is the last one."""
        return self.close_after or self.phase == BODY or self.site.draining

    @property
    def request_unfinished(self) -> bool:
        """The upstream answered before it had the whole request: its connection is not at a message's end."""
        return self.phase == BODY

    def upstream_failed(self, reason: str, status: int, *, unheard: bool = False) -> None:
        """The upstream broke off or answered badly. `unheard`: a reused connection ended before a byte of an answer."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            self.site.discard(upstream)
        head = self.head
        if head is None:
            return
        behind = self.site.floor[0] > self.site.revision
        if unheard and not self.retried and not behind and not head.length and head.method in _IDEMPOTENT:
            self._retry(head)
            return
        add(self.site.counters.upstream_errors, reason)
        if self.answered:
            self._count(status, reason)
            self._abort("")
            return
        close = self.will_close
        self._send(answer(status, head=head.method == b"HEAD", close=close, keep10=head.keep10))
        self._count(status, reason)
        if close:
            self._linger()
        else:
            self._next()

    def _retry(self, head: RequestHead) -> None:
        """Once, on a connection of its own, under the policy of now: the first may have ended because that changed."""
        if self.pair.generation != self.site.generation and not self._renewed():
            return
        self.retried = True
        self.site.counters.upstream_retries += 1
        verdict = self.verdict = self.pair.judge(head)
        if not verdict.denied:
            self._forward(head, verdict)
            return
        self.phase = IDLE
        self._deny(head, verdict)
        if self.phase == IDLE:
            self._next()

    # ---- endings ---------------------------------------------------------------------------------------------

    def _refuse_unread(self, problem: RequestRefused, size: int) -> None:
        """There is no head to speak of: the log must not tell of the request before this one."""
        self.head = None
        self.started = 0.0
        self.bytes_in, self.bytes_out = size, 0
        self._refuse(problem)

    def _refuse(self, problem: RequestRefused) -> None:
        """Malformed, ambiguous, too large or too slow: an error, then the end of the connection."""
        self.began = 0.0
        add(self.site.counters.refused, problem.reason)
        self._send(answer(problem.status, head=False, close=True, keep10=False))
        self._count(problem.status, problem.reason)
        self._linger()

    def _broken_request(self, reason: str, status: int = 400) -> None:
        """The body went wrong after the head went on: the upstream must not take what it has for a whole message."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            self.site.discard(upstream)
        self.outbox.clear()
        add(self.site.counters.refused, reason)
        self._count(status, reason)
        if self.answered:
            self._abort("")
            return
        self._send(answer(status, head=False, close=True, keep10=False))
        self._linger()

    def _end(self) -> None:
        """Nothing is owed to the client but what it has not read yet: it has `flush_s` for that, see `check`."""
        self.pipe.close()
        self.phase = GONE
        self.active = self.site.now

    def _linger(self) -> None:
        """Shut our side and read on for a while: closing with unread input would reset the connection, and the
        client could lose the answer."""
        self.held.clear()
        self.phase = LINGER
        self.active = self.began = self.site.now
        self.body = None
        if self.eof or self.pipe.is_closing():
            self._end()
            return
        self.read_on(can=True)
        self.pipe.write_eof()

    def _close(self) -> None:
        self.phase = GONE
        self.pipe.abort()

    def _abort(self, reason: str) -> None:
        if reason and self.verdict is not None and self.phase in (BODY, ANSWER):
            self._count(0, reason)
        self.phase = GONE
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            self.site.discard(upstream)
        self.site.reset(self.pipe)

    # ---- accounts --------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        size = len(data)
        self.bytes_out += size
        self.site.counters.bytes_to_client += size
        self.pipe.write(data)

    def _count(self, status: int, reason: str) -> None:
        """The exchange has an outcome: once for each request that was read."""
        site, verdict = self.site, self.verdict
        if verdict is not None:
            site.tallies.count(verdict, status, site.clock() - self.started)
        if site.record is not None:
            site.record(self, status, reason)
        self.verdict = None
