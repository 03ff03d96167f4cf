"""The load: wrk, iperf3 and rr, and what they print as numbers. A run with errors is no measurement."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmarks.hosts import BenchmarkFailed, Host, command

_CONF = Path(__file__).with_name("conf")
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLoad:
    requests: int
    seconds: float
    p50_us: float
    p99_us: float


class Heads(Enum):
    """What the requests of a load look like."""

    REPEATED = ""
    """All alike, as of one client that asks the same again and again."""
    DISTINCT = "distinct.lua"
    """Each with a number of its own in its path and in a header."""


def wrk(
    host: Host, url: str, *, connections: int, heads: Heads, seconds: float, cpu: int, cgroup: Path | None = None
) -> HttpLoad:
    script = ("--script", str(_CONF / heads.value)) if heads.value else ()
    words = [
        "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s",
        "--latency", "--header", "x-env: prod", *script, url,
    ]  # fmt: skip
    return read_wrk(host.run(*words, cpu=cpu, cgroup=cgroup))


def read_wrk(text: str) -> HttpLoad:
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s|m)", text)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    if total is None or median is None or tail is None or int(total[1]) == 0:
        raise BenchmarkFailed(f"wrk measured nothing: {text.strip()}")
    if wrong := re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text):
        raise BenchmarkFailed(f"wrk met errors: {wrong[0]}")
    return HttpLoad(
        requests=int(total[1]),
        seconds=float(total[2]) * _UNITS[total[3]] / 1e6,
        p50_us=float(median[1]) * _UNITS[median[2]],
        p99_us=float(tail[1]) * _UNITS[tail[2]],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    gbits_per_second: float
    """As the receiver counted them."""
    gbits_per_cpu_second: float
    """Over the time that both ends were on a CPU: says the same when other programs want the CPUs too."""


def iperf3(host: Host, address: str, *, seconds: float, cpu: int, cgroup: Path | None = None) -> Bulk:
    """One TCP stream."""
    words = ["iperf3", "--client", address, "--time", str(max(1, round(seconds))), "--json"]
    end = json.loads(host.run(*words, cpu=cpu, cgroup=cgroup))["end"]
    gbits = float(end["sum_received"]["bits_per_second"]) / 1e9
    busy = end["cpu_utilization_percent"]
    return Bulk(gbits_per_second=gbits, gbits_per_cpu_second=gbits / (busy["host_total"] + busy["remote_total"]) * 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    per_second: float
    p50_us: float
    p99_us: float


def request_response(
    host: Host, address: str, port: int, *, seconds: float, cpu: int, cgroup: Path | None = None
) -> Exchanges:
    words = [str(rr_binary()), "client", address, str(port), str(seconds)]
    count, took, p50, p99 = host.run(*words, cpu=cpu, cgroup=cgroup).split()
    return Exchanges(per_second=int(count) / float(took), p50_us=int(p50) / 1e3, p99_us=int(p99) / 1e3)


def rr_binary() -> Path:
    """rr.c, compiled once per change of its text."""
    source = Path(__file__).with_name("rr.c")
    cache = Path(os.environ.get("WEFT_CACHE") or Path.home() / ".cache" / "weft")
    binary = cache / "bench" / "rr"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(parents=True, exist_ok=True)
        command(["gcc", "-O2", "-Wall", "-Werror", "-o", str(binary), str(source)])
    return binary
