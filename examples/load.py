"""A small HTTP load: keep-alive connections that ask again as soon as they are answered. Run inside a pod by the demo.

python load.py URL [--seconds S] [--connections N] prints one line: requests per second, statuses, latency. It knows
responses with Content-Length only, which is what the lab's echo server and the proxy send.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from urllib.parse import urlsplit


async def _connection(
    host: str, port: int, path: str, until: float, statuses: Counter[str], times: list[float]
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        while (begun := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            await reader.readexactly(length)
            times.append(time.perf_counter() - begun)
            statuses[head[9:12].decode("ascii", "replace")] += 1
    except (OSError, asyncio.IncompleteReadError) as error:
        statuses[type(error).__name__] += 1
    finally:
        writer.close()


async def load(url: str, seconds: float, connections: int) -> str:
    """The line to print."""
    parts = urlsplit(url)
    statuses: Counter[str] = Counter()
    times: list[float] = []
    host, port, until = parts.hostname or "", parts.port or 80, time.perf_counter() + seconds
    async with asyncio.TaskGroup() as tasks:
        for number in range(connections):
            work = _connection(host, port, parts.path or "/", until, statuses, times)
            tasks.create_task(work, name=f"connection {number}")
    times.sort()
    shown = " ".join(f"{code}={count}" for code, count in sorted(statuses.items()))
    if not times:
        return f"no answer ({shown})"
    middle, high = times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3
    return f"{len(times) / seconds:,.0f} requests/s, {shown}, p50 {middle:.2f} ms, p99 {high:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description="a small HTTP load")
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=8)
    given = parser.parse_args()
    print(asyncio.run(load(given.url, given.seconds, given.connections)))


if __name__ == "__main__":
    main()
