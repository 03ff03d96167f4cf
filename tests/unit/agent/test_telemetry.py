"""Metrics and their answerer."""

from __future__ import annotations

import asyncio

from agent.telemetry import Reading, Telemetry

READING = Reading(
    counters={(0, 0): (5, 500), (2, 1): (1, 60)}, gauges={"events_lost": 3}, pressure={"mesh_ct": 0.5},
    endpoints={"enforced": 2}, revision=7, connected=True,
)  # fmt: skip


def test_drops_have_a_reason_and_a_direction() -> None:
    text = Telemetry(lambda: READING).text().decode()
    assert 'weft_agent_packets_total{direction="ingress",reason="policy-default"} 1.0' in text
    assert 'weft_agent_packets_total{direction="egress",reason="forwarded"} 5.0' in text
    assert 'weft_agent_datapath_events_total{event="events-lost"} 3.0' in text
    assert "weft_agent_revision 7.0" in text


def test_every_name_has_our_prefix() -> None:
    telemetry = Telemetry(lambda: READING)
    telemetry.enforce_seconds.observe(0.01)
    lines = telemetry.text().decode().splitlines()
    assert all(line.startswith(("#", "weft_agent_")) for line in lines)


def ask(request: bytes) -> bytes:
    async def story() -> bytes:
        telemetry = Telemetry(lambda: READING)
        server = await asyncio.start_server(telemetry._answer, "127.0.0.1", 0)
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
