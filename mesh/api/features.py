"""Which version this is, and the names of what two programs may ask of each other.

A hello carries both. Each side offers what it knows and uses only what both know; what cannot be left out is required.
A program of another major version is refused, because the messages may mean something else there.
"""

from __future__ import annotations

from collections.abc import Iterable

VERSION = "0.1.0"

SNAPSHOT = "snapshot.v1"
"""Snapshots and deltas with acknowledged revisions."""
POLICY_L4 = "policy.l4"
POLICY_HTTP = "policy.http"
"""HTTP rules with methods, paths, hosts and headers; allow and deny."""
SERVICE_CLUSTER_IP = "service.clusterip"
COMMANDS = "commands.v1"
"""Questions to a node over the stream."""
FLOWS = "flows.v1"

FEATURES = (SNAPSHOT, POLICY_L4, POLICY_HTTP, SERVICE_CLUSTER_IP, COMMANDS, FLOWS)
"""What this version knows, in the order in which it came."""

REQUIRED = frozenset({SNAPSHOT, POLICY_L4, POLICY_HTTP, SERVICE_CLUSTER_IP})
"""Without these a node or a controller would have to guess at policy, so it is refused."""

REQUIRED_OF_PROXY = frozenset({SNAPSHOT, POLICY_L4, POLICY_HTTP})
"""The same for a proxy's worker, which never sees services or commands."""


def shared(offered: Iterable[str]) -> tuple[str, ...]:
    """The features that both sides know."""
    known = set(offered)
    return tuple(name for name in FEATURES if name in known)


def objection(version: str, offered: Iterable[str], required: frozenset[str] = REQUIRED) -> str | None:
    """Why a peer of this version with these features cannot be spoken to; None where it can."""
    major, _, rest = version.partition(".")
    ours = VERSION.partition(".")[0]
    if not major.isdecimal() or not rest:
        return f"version {version[:40]!r} is not of the form MAJOR.MINOR.PATCH"
    if major != ours:
        return f"version {version[:40]} does not speak with version {VERSION}: install the same major version on both"
    missing = sorted(required - set(offered))
    if missing:
        return f"version {version[:40]} lacks {', '.join(missing)}: install version {VERSION} or newer"
    return None
