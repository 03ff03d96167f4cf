"""What is answered to a request for metrics, and what an agent that nobody asks does without."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from agent.metrics_page import MetricsPage
from agent.reading import Reading


def ask(request: bytes) -> bytes:
    async def story() -> bytes:
        page = MetricsPage(lambda: Reading(revision=7))
        server = await asyncio.start_server(page._answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(request)
        answer = await reader.read()
        writer.close()
        server.close()
        return answer

    return asyncio.run(story())


def test_metrics_health_and_nothing_else() -> None:
    assert b"weft_agent_revision 7.0" in ask(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert ask(b"GET /healthz HTTP/1.1\r\n\r\n").endswith(b"ok\n")
    assert b"404" in ask(b"GET /other HTTP/1.1\r\n\r\n").splitlines()[0]
    assert b"404" in ask(b"POST /metrics HTTP/1.1\r\n\r\n").splitlines()[0]


def test_the_agent_starts_without_what_only_others_need() -> None:
    """Each of these costs megabytes of the agent's memory for as long as it runs."""
    heavy = ("pyroute2", "prometheus_client", "cryptography", "re2", "sqlite3", "yaml")
    program = f"import sys, agent.app, agent.datapath.kernel; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
