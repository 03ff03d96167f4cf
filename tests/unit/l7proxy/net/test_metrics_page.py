from __future__ import annotations

import asyncio
from functools import partial

from l7proxy.net.metrics_page import HEAD_LIMIT, MetricsPage


def ask(data: bytes) -> bytes:
    async def run() -> bytes:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(partial(MetricsPage, lambda: (b"a 1\n", "text/x")), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(data)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()
            server.close()

    return asyncio.run(run())


def test_the_page_is_served() -> None:
    answer = ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 4\r\n")
    assert answer.endswith(b"\r\n\r\na 1\n")


def test_other_pages_are_not_there() -> None:
    assert ask(b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 404 ")


def test_endless_heads_are_cut() -> None:
    assert ask(b"GET /metrics HTTP/1.1\r\nA: " + b"b" * HEAD_LIMIT) == b""
