"""Heads that were found clear, by their exact bytes.

Between services the same heads come again and again: a poll, a health check, the same call to the same peer; a response
head changes once a second, with its Date. What a head means depends on its bytes alone, so once it has come twice it is
known, and neither read nor shown to llhttp again. Only short heads are kept, a bounded number of them, and all are
forgotten when it is full. What comes once is not kept: a trace id in every head would fill the memory in no time.
"""

from __future__ import annotations

from l7proxy.core.authz import Denial, Pair, Permit
from l7proxy.core.limits import Limits
from l7proxy.core.refusal import RequestRefused, ResponseBroken
from l7proxy.core.request_head import RequestHead, read_request
from l7proxy.core.response_head import ResponseHead, read_response
from l7proxy.core.seen import Seen
from l7proxy.core.witness import Disagreement, check_request_head, check_response_head

KEPT = 1024
KEPT_BYTES = 1024
"""Longest head that is kept: together at most 2 MiB for a worker."""


class KnownRequest:
    """A clear head, and the verdict on it that was given last."""

    __slots__ = ("head", "pair", "verdict")

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.pair: Pair | None = None
        """For whom `verdict` was given."""
        self.verdict: Permit | Denial | None = None


class Heads:
    """One for a worker."""

    __slots__ = ("_limits", "_seen", "requests", "responses")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seen = Seen()
        self.requests: dict[bytes, KnownRequest] = {}
        self.responses: dict[bytes, ResponseHead] = {}

    def forget_verdicts(self) -> None:
        """Policy changed."""
        self.requests.clear()

    def request(self, raw: bytes, authority: bytes) -> KnownRequest:
        """Raises RequestRefused."""
        known = self.requests.get(raw)
        if known is not None:
            return known
        if len(raw) > self._limits.head_bytes:
            raise RequestRefused("head-too-long", 431)
        head = read_request(raw, authority, self._limits)
        try:
            if not head.asis:
                check_request_head(raw, ends=None)
            check_request_head(head.forward, ends=not head.length)
        except Disagreement:
            raise RequestRefused("malformed") from None
        known = KnownRequest(head)
        if len(raw) <= KEPT_BYTES and not head.borrowed and self._seen.again(raw):
            if len(self.requests) >= KEPT:
                self.requests.clear()
            self.requests[raw] = known
        return known

    def response(self, raw: bytes) -> ResponseHead:
        """Raises ResponseBroken."""
        known = self.responses.get(raw)
        if known is not None:
            return known
        if len(raw) > self._limits.head_bytes:
            raise ResponseBroken("head-too-long")
        head = read_response(raw, self._limits)
        try:
            check_response_head(raw, ends=not head.length)
        except Disagreement:
            raise ResponseBroken("malformed") from None
        if len(raw) <= KEPT_BYTES and self._seen.again(raw):
            if len(self.responses) >= KEPT:
                self.responses.clear()
            self.responses[raw] = head
        return head
