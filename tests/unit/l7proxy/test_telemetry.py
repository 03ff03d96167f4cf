from __future__ import annotations

from l7proxy.core.tally import Counters, add
from l7proxy.telemetry import page


def filled() -> Counters:
    counters = Counters()
    counters.allowed = {200: 7, 502: 1}
    counters.denied = {403: 2}
    add(counters.refused, "host")
    counters.duration_buckets[0] = 3
    counters.duration_buckets[-1] = 1
    counters.duration_sum = 12.5
    counters.revision = 42
    return counters


def test_slots_come_out_as_metrics() -> None:
    text = page(filled()).decode()
    for line in (
        'weft_proxy_requests_total{code="200",decision="allow"} 7.0',
        'weft_proxy_requests_total{code="403",decision="deny"} 2.0',
        'weft_proxy_refused_total{reason="host"} 1.0',
        'weft_proxy_request_duration_seconds_bucket{le="0.0005"} 3.0',
        'weft_proxy_request_duration_seconds_bucket{le="+Inf"} 4.0',
        "weft_proxy_request_duration_seconds_count 4.0",
        "weft_proxy_request_duration_seconds_sum 12.5",
        "weft_proxy_policy_revision 42.0",
    ):
        assert line in text.split("\n"), line


def test_every_family_has_help_type_prefix_and_a_fitting_name() -> None:
    lines = page(filled()).decode().split("\n")
    types = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    assert types
    for name, kind in types.items():
        assert name.startswith("weft_proxy_")
        assert name.endswith("_total") == (kind == "counter")
        assert any(line.startswith(f"# HELP {name} ") for line in lines)
