"""One connection to an upstream: reads responses, and hands them to the client connection that it serves.

An answer that is in doubt never looks like a success: where nothing was sent to the client yet it becomes 502, later
the client's connection is reset. Bytes after a response belong to nobody: the connection is dropped.
"""

from __future__ import annotations

from l7proxy.core.chunks import ChunkReader, MalformedChunk, frame, last_chunk
from l7proxy.core.facts import Pipe
from l7proxy.core.refusal import ResponseBroken
from l7proxy.core.response_head import CHUNKED, UNTIL_CLOSE, ResponseHead, with_field, without_field
from l7proxy.core.sides import ANSWER, ClientSide, Shelf
from l7proxy.core.site import Site
from l7proxy.core.tally import add
from l7proxy.core.witness import ChunkedWitness, Disagreement

_CLOSE = b"Connection: close"
_KEEP = b"Connection: keep-alive"
_CHUNKED = b"Transfer-Encoding: chunked"


class UpstreamConnection:
    __slots__ = (
        "_begun",
        "_chunks",
        "_head_only",
        "_held",
        "_informational",
        "_keep",
        "_left",
        "_paused",
        "_plain",
        "_status",
        "_witness",
        "client",
        "idle_since",
        "pipe",
        "reused",
        "shelf",
        "site",
    )

    def __init__(self, site: Site, pipe: Pipe, shelf: Shelf) -> None:
        self.site = site
        self.pipe = pipe
        self.shelf = shelf
        """Where it waits for its next use."""
        self.client: ClientSide | None = None
        self.reused = False
        self.idle_since = 0.0
        self._witness: ChunkedWitness | None = None
        self._held = b""
        self._status = 0
        self._left = 0
        self._chunks: ChunkReader | None = None
        self._keep = False
        self._begun = False
        self._head_only = False
        self._plain = False
        self._paused = False
        self._informational = 0

    def begin(self, client: ClientSide, *, head_only: bool) -> None:
        """The next response is for `client`. A connection that waits on its shelf is clean, see `_done`."""
        self.client = client
        self._head_only = head_only
        if client.stalled:
            self.pause()

    def pause(self) -> None:
        self._paused = True
        self.pipe.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self.pipe.resume_reading()

    def feed(self, data: bytes) -> None:
        client = self.client
        if client is None:
            add(self.site.counters.upstream_errors, "unsolicited")
            self.site.discard(self)
            return
        client.active = self.site.now
        try:
            if not self._begun and self._whole(client, data):
                return
            self._begun = True
            if self._status:
                self._body(client, data)
            else:
                self._head(client, data)
        except ResponseBroken as problem:
            client.upstream_failed(problem.reason, 502)
        except (MalformedChunk, Disagreement):
            client.upstream_failed("malformed", 502)

    def _whole(self, client: ClientSide, data: bytes) -> bool:
        """A whole response on connections that go on: the usual case, in one step."""
        site = self.site
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return False
        head = data[:end]
        response = site.heads.responses.get(head) or site.heads.response(head)
        if (
            response.length != len(data) - end
            or not response.keep
            or response.status < 200
            or client.phase != ANSWER
            or client.dressed
            or self._head_only
            or self._paused
            or site.draining
        ):
            return False
        self.client = None
        site.release(self)
        client.answer_whole(response.status, data if response.asis else response.forward + data[end:])
        return True

    def lost(self, *, orderly: bool) -> None:
        """The upstream closed, or broke off."""
        client = self.client
        if client is None:
            return
        if self._status and self._left == UNTIL_CLOSE and orderly:
            self._keep = False
            self._done(client, b"" if self._plain else last_chunk(b""))
            return
        unheard = self.reused and not self._begun
        client.upstream_failed("closed-early" if self._begun else "closed-before-answer", 502, unheard=unheard)

    def writable(self, *, can: bool) -> None:
        """The upstream takes the request body too slowly, or again."""
        if self.client is not None:
            self.client.read_on(can=can)

    # ---- reading ---------------------------------------------------------------------------------------------

    def _head(self, client: ClientSide, data: bytes) -> None:
        if self._held:
            data = self._held + data
            self._held = b""
        limits = self.site.limits
        while True:
            if self._informational and data[:2] == b"\r\n":
                data = data[2:]  # some servers end 100 (Continue) with one line too many
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                return self._hold(data)
            head = data if end == len(data) else data[:end]
            response = self.site.heads.response(head)
            if response.status >= 200:
                return self._final(client, response, head, data)
            self._informational += 1
            if self._informational > limits.informational:
                raise ResponseBroken("too-many-informational")
            if client.head is not None and not client.head.http10:
                client.send_informational(response.forward)
            data = data[end:]
            if not data:
                return None

    def _hold(self, data: bytes) -> None:
        lines = data.count(b"\r\n")
        if len(data) > self.site.limits.head_bytes:
            raise ResponseBroken("head-too-long")
        if data.count(b"\n") != lines or data.count(b"\r", 0, -1) != lines:
            raise ResponseBroken("bare-cr-or-lf")
        self._held = data

    def _final(self, client: ClientSide, response: ResponseHead, head: bytes, data: bytes) -> None:
        """`data` begins with `head`."""
        status, length, end = response.status, response.length, len(head)
        self._keep = response.keep
        if self._head_only:
            if end != len(data):
                raise ResponseBroken("surplus")
            self._status = status
            return self._done(client, self._dress(client, response, length=0))
        if length >= 0:
            left = length - (len(data) - end)
            if left < 0:
                raise ResponseBroken("surplus")
            self._status, self._left = status, left
            out = self._dress(client, response, length=length)
            # Where the head goes on as it came nothing has to be put together.
            out = data if out is head else out + data[end:]
            if left:
                client.send_answer(out)
                return None
            return self._done(client, out)
        return self._final_streamed(client, response, data, end)

    def _final_streamed(self, client: ClientSide, response: ResponseHead, data: bytes, end: int) -> None:
        self._plain = client.head is not None and client.head.http10
        head, rest = data[:end], data[end:]
        if response.length == CHUNKED:
            self._chunks = ChunkReader(self.site.limits)
            payload, used = self._chunks.feed(rest)
            if used != len(rest):
                raise ResponseBroken("surplus")
            done = self._chunks.done
            self._witness = ChunkedWitness(head, response=True)
            self._witness.feed(rest, ends=done)
        else:
            payload, done = [rest], False
        self._status, self._left = response.status, response.length
        out = self._dress(client, response, length=response.length) + self._framed(payload)
        if done:
            return self._done(client, out + self._last())
        client.send_answer(out)
        return None

    def _body(self, client: ClientSide, data: bytes) -> None:
        if self._chunks is not None and self._witness is not None:
            payload, used = self._chunks.feed(data)
            done = self._chunks.done
            self._witness.feed(data[:used], ends=done)
            self._keep = self._keep and used == len(data)
            out = self._framed(payload)
            if done:
                return self._done(client, out + self._last())
        elif self._left == UNTIL_CLOSE:
            out = self._framed([data])
        else:
            if len(data) > self._left:
                self._keep = False
                data = data[: self._left]
                add(self.site.counters.upstream_errors, "surplus")
            self._left -= len(data)
            out = data
            if not self._left:
                return self._done(client, out)
        if out:
            client.send_answer(out)
        return None

    # ---- writing ---------------------------------------------------------------------------------------------

    def _framed(self, payload: list[bytes]) -> bytes:
        return b"".join(payload) if self._plain else frame(payload)

    def _last(self) -> bytes:
        if self._plain or self._chunks is None:
            return b""
        return last_chunk(self._chunks.trailers)

    def _dress(self, client: ClientSide, response: ResponseHead, *, length: int) -> bytes:
        """The head with what concerns the client's connection."""
        head = response.forward
        request = client.head
        if request is not None and request.http10:
            if length < 0:
                client.close_after = True
                head = without_field(head, b"transfer-encoding")
            if request.keep10 and not client.will_close:
                return with_field(head, _KEEP)
        elif length == UNTIL_CLOSE:
            head = with_field(head, _CHUNKED)
        return with_field(head, _CLOSE) if client.will_close else head

    def _done(self, client: ClientSide, out: bytes) -> None:
        """Send the last bytes, let go of the client, and tell it."""
        if out:
            client.send_answer(out)
        status = self._status
        self._status = self._informational = 0
        self._begun = False
        self._chunks = self._witness = None
        self.client = None
        self.resume()
        site = self.site
        if self._keep and not client.request_unfinished:
            site.release(self)
        else:
            site.discard(self)
        client.answer_done(status)
