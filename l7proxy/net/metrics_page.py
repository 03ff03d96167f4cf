"""A page for Prometheus: answers any GET with what `render` gives, and closes. A scrape needs no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

HEAD_LIMIT = 8 << 10


class MetricsPage(asyncio.Protocol):
    def __init__(self, render: Callable[[], tuple[bytes, str]]) -> None:
        """`render` gives the page and its content type."""
        self._render = render
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HEAD_LIMIT:
            self._transport.abort()
        elif b"\r\n\r\n" in self._held:
            self._answer()

    def _answer(self) -> None:
        found = self._held.startswith((b"GET /metrics ", b"GET / "))
        body, content_type = self._render() if found else (b"the metrics are at /metrics\n", "text/plain")
        status = "200 OK" if found else "404 Not Found"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.close()
