"""What wrk prints becomes numbers, and a run with errors is refused."""

from __future__ import annotations

import pytest

from benchmarks.hosts import BenchmarkFailed
from benchmarks.load import read_wrk

GOOD = """Running 3s test @ http://10.77.2.2:8080/api/v1/items
  Latency Distribution
     50%  197.00us
     75%  250.00us
     90%    1.10ms
     99%    7.79ms
  120541 requests in 3.02s, 139.77MB read
Requests/sec:  39914.24
"""


def test_units_are_read() -> None:
    read = read_wrk(GOOD)
    assert (read.requests, read.seconds, read.p50_us, read.p99_us) == (120541, 3.02, 197.0, 7790.0)


@pytest.mark.parametrize(
    "line", ["  Non-2xx or 3xx responses: 12", "  Socket errors: connect 0, read 3, write 0, timeout 0"]
)
def test_errors_are_no_measurement(line: str) -> None:
    with pytest.raises(BenchmarkFailed, match="wrk met errors"):
        read_wrk(f"{GOOD}{line}\n")


def test_silence_is_no_measurement() -> None:
    with pytest.raises(BenchmarkFailed, match="measured nothing"):
        read_wrk("  0 requests in 3.00s, 0.00B read\n")
