"""The page that Prometheus reads."""

from __future__ import annotations

from agent.reading import Reading
from agent.telemetry import page

READING = Reading(
    counters={(0, 0): (5, 500), (2, 1): (1, 60)}, gauges={"events_lost": 3}, pressure={"mesh_ct": 0.5},
    endpoints={"enforced": 2}, revision=7, connected=True, conntrack_fullest=0.25, records_lost_by_pod={"shop/a": 9},
)  # fmt: skip


def test_drops_have_a_reason_and_a_direction() -> None:
    text = page(READING).decode()
    assert 'weft_agent_packets_total{direction="ingress",reason="policy-default"} 1.0' in text
    assert 'weft_agent_packets_total{direction="egress",reason="forwarded"} 5.0' in text
    assert 'weft_agent_datapath_events_total{event="events-lost"} 3.0' in text
    assert "weft_agent_revision 7.0" in text
    assert "weft_agent_conntrack_share_ratio 0.25" in text
    assert 'weft_agent_pod_records_lost_total{namespace="shop",pod="a"} 9.0' in text


def test_every_name_has_our_prefix() -> None:
    lines = page(READING).decode().splitlines()
    assert all(line.startswith(("#", "weft_agent_")) for line in lines)


def test_durations_are_a_histogram() -> None:
    reading = Reading()
    for seconds in (0.0005, 0.002, 60.0):
        reading.enforce.observe(seconds)
    text = page(reading).decode()
    assert 'weft_agent_enforce_seconds_bucket{le="0.001"} 1.0' in text
    assert 'weft_agent_enforce_seconds_bucket{le="0.0025"} 2.0' in text
    assert 'weft_agent_enforce_seconds_bucket{le="5.0"} 2.0' in text
    assert 'weft_agent_enforce_seconds_bucket{le="+Inf"} 3.0' in text
    assert "weft_agent_enforce_seconds_count 3.0" in text
    assert "weft_agent_enforce_seconds_sum 60.0025" in text
