"""The second reader: llhttp (by httptools), strict, fed with exactly the bytes that our reader took for one message.

Two parsers that were written by different people must agree on where a message ends before a byte of it goes on. What
llhttp is known to let pass (two spaces after the method, blank lines before it, several Hosts, Transfer-Encoding in
HTTP/1.0) is refused in `request_head`. The only module that imports httptools.

Heads are checked by themselves. A body with a length needs no second reader; a chunked one has a witness of its own.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser


class Disagreement(Exception):
    """llhttp refuses the bytes, or sees the end of the message elsewhere."""


class _Ear:
    """What httptools calls. No other callbacks: llhttp then runs through a message without entering Python."""

    __slots__ = ("complete",)

    def __init__(self) -> None:
        self.complete = False

    def on_message_complete(self) -> None:
        self.complete = True


class ChunkedWitness:
    """Follows one chunked message from its head on."""

    __slots__ = ("_ear", "_feed")

    def __init__(self, head: bytes, *, response: bool) -> None:
        self._ear = _Ear()
        self._feed = (HttpResponseParser if response else HttpRequestParser)(self._ear).feed_data
        self.feed(head, ends=False)

    def feed(self, data: bytes, *, ends: bool) -> None:
        """`ends`: our reader says that the message ends with the last of these bytes."""
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as problem:
            raise Disagreement(str(problem)) from None
        if self._ear.complete is not ends:
            raise Disagreement("the message ends elsewhere")


def check_request_head(head: bytes, *, ends: bool | None) -> None:
    """`ends`: the head is the whole message. None: whatever it is; to offer an upgrade is no fault then."""
    ear = _Ear()
    try:
        HttpRequestParser(ear).feed_data(head)
    except HttpParserUpgrade:
        if ends is None:
            return
        raise Disagreement("an upgrade") from None
    except HttpParserError as problem:
        raise Disagreement(str(problem)) from None
    if ends is not None and ear.complete is not ends:
        raise Disagreement("the message ends elsewhere")


def check_response_head(head: bytes, *, ends: bool) -> None:
    """`ends` as for a response to anything but HEAD, of which llhttp is not told."""
    ear = _Ear()
    try:
        HttpResponseParser(ear).feed_data(head)
    except (HttpParserError, HttpParserUpgrade) as problem:
        raise Disagreement(str(problem)) from None
    if ear.complete is not ends:
        raise Disagreement("the message ends elsewhere")
