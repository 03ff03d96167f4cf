"""Responses that the proxy gives itself. They say the status and nothing else: reasons are for the log."""

from __future__ import annotations

FORBIDDEN = 403

_PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    408: "Request Timeout",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def _make(status: int, connection: bytes) -> tuple[bytes, bytes]:
    body = f"{_PHRASES[status]}\n".encode()
    allow = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" if status == 405 else b""
    head = (
        (
            b"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
            % (status, _PHRASES[status].encode(), len(body))
        )
        + allow
        + connection
        + b"\r\n"
    )
    return head, head + body


_READY = {
    (status, connection): _make(status, connection)
    for status in _PHRASES
    for connection in (b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n")
}


def answer(status: int, *, head: bool, close: bool, keep10: bool) -> bytes:
    """`head`: the request was HEAD, so the response has no body. `keep10`: an HTTP/1.0 client that keeps on."""
    connection = b"Connection: close\r\n" if close else b"Connection: keep-alive\r\n" if keep10 else b""
    return _READY[status, connection][0 if head else 1]
