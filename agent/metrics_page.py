"""A minimal HTTP answerer for metrics and liveness. Values are read when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.reading import Reading

HEAD_BYTES = 8192
HEAD_S = 5.0
_PLAIN = b"text/plain; version=0.0.4; charset=utf-8"


def _render(reading: Reading) -> bytes:
    from agent.telemetry import page  # brings prometheus_client

    return page(reading)


class MetricsPage:
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    async def serve(self, host: str, port: int) -> None:
        """GET /metrics and /healthz until cancelled. One request per connection."""
        server = await asyncio.start_server(self._answer, host, port, limit=HEAD_BYTES)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b"\r\n", 1)[0].split(b" ")
            path = words[1] if len(words) == 3 and words[0] == b"GET" else b""
            if path == b"/metrics":
                status, body = b"200 OK", _render(self._read())
            elif path == b"/healthz":
                status, body = b"200 OK", b"ok\n"
            else:
                status, body = b"404 Not Found", b"GET /metrics or /healthz\n"
            kind = _PLAIN
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                % (status, kind, len(body))
            )
            writer.write(body)
            await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()
