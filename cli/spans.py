"""Times as people write and read them: `90s`, `1h30m`, an RFC 3339 instant; ages such as `3m`. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(text: str) -> float:
    """A span; a bare number means seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not _SPAN.fullmatch(text):
        raise click.BadParameter(f"{text!r} is no span of time; write for example 30s, 5m, 1h30m or 2d")
    return sum(float(amount) * _UNITS_S[unit] for amount, unit in _PART.findall(text))


def instant_ns(text: str, *, now_ns: int) -> int:
    """Nanoseconds since the epoch of `--since`: a span before now, or an RFC 3339 instant."""
    if "T" in text:
        try:
            instant = datetime.fromisoformat(text)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is no RFC 3339 time; write for example 2026-01-31T12:00:00Z") from error
        aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
        return int(aware.timestamp() * 1_000_000) * 1_000
    return max(1, now_ns - int(seconds(text) * 1_000_000_000))


def clock(rfc3339: str) -> str:
    """Local time of day with milliseconds, as a line of `observe` begins; the text itself where it is no time."""
    try:
        instant = datetime.fromisoformat(_to_microseconds(rfc3339))
    except ValueError:
        return rfc3339
    local = instant.astimezone() if instant.tzinfo is not None else instant
    return local.strftime("%H:%M:%S.") + f"{local.microsecond // 1000:03d}"


def _to_microseconds(rfc3339: str) -> str:
    """Python reads six decimals; records may carry nine."""
    return re.sub(r"(\.\d{6})\d+", r"\1", rfc3339)


def age(seconds_ago: float) -> str:
    """Two units at most: `42s`, `3m`, `2h5m`, `4d`."""
    whole = max(0, int(seconds_ago))
    if whole < 120:
        return f"{whole}s"
    if whole < 7200:
        return f"{whole // 60}m"
    if whole < 172_800:
        return f"{whole // 3600}h{whole % 3600 // 60}m"
    return f"{whole // 86_400}d"
