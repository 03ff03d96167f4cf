"""What is wrong with a message. Two errors, for two parties can be at fault: the client (4xx) or the upstream (502)."""

from __future__ import annotations


class MessageError(Exception):
    """A message that is not forwarded. `reason` is a fixed word for metrics and logs; it never holds input."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RequestRefused(MessageError):
    """The client's message is malformed, ambiguous or too large: answered with `status`, then closed."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class ResponseBroken(MessageError):
    """The upstream's message cannot be trusted: the client gets 502, the upstream connection is dropped."""
