"""The access log: one JSON object per request, written in blocks, never waited for.

Says to the operator what the caller is not told: which policy and rule decided. The query string is left out:
it is where secrets are passed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

from l7proxy.core.authz import Denial, Permit
from l7proxy.core.sides import ClientSide
from mesh.model import RuleRef

FLUSH_BYTES = 64 << 10

log = logging.getLogger(__name__)


class AccessLog:
    """`where`: a file, or `-`. Lines are kept until `flush`, which the worker calls twice a second.

    Requests do not depend on it: where it cannot be written, lines are counted as lost, and it is tried again.
    """

    def __init__(
        self, where: str, node: Callable[[], str], wall_clock: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._where = where
        self._node = node
        self._wall_clock = wall_clock
        self._clock = clock
        self._lines: list[str] = []
        self._held_bytes = 0
        self.lost = 0
        """Lines that could not be written (disk full, folder gone)."""
        self._told = False
        """Of the trouble there is now."""
        self._file = self._open()

    def _open(self) -> TextIO | None:
        if self._where == "-":
            return sys.stdout
        try:
            # Paths and names of callers are not everybody's to read.
            descriptor = os.open(self._where, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            self._tell(error)
            return None
        self._told = False
        return open(descriptor, "a", encoding="utf-8", buffering=1 << 16)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            words = "access log %s: %s; requests go on, their lines are lost (counted) until it can be written"
            log.warning(words, self._where, error.strerror)
        self._told = True

    def reopen(self) -> None:
        """After logrotate has moved the file away (SIGHUP). Where there can be no new one, the old one is kept."""
        self.flush()
        if self._where == "-":
            return
        made = self._open()
        if made is not None:
            self._shut()
            self._file = made

    def _shut(self) -> None:
        if self._file is not None and self._where != "-":
            try:
                self._file.close()
            except OSError as error:  # what it still held
                self._tell(error)

    def flush(self) -> None:
        if not self._lines:
            return
        text, count = "".join(self._lines), len(self._lines)
        self._lines.clear()
        self._held_bytes = 0
        self._file = self._file or self._open()
        if self._file is None:
            self.lost += count
            return
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            self.lost += count
            self._tell(error)
        else:
            self._told = False

    def close(self) -> None:
        self.flush()
        self._shut()

    def record(self, client: ClientSide, status: int, reason: str) -> None:
        """Called by the core when an exchange has its outcome."""
        line = json.dumps(self._entry(client, status, reason), separators=(",", ":")) + "\n"
        self._lines.append(line)
        self._held_bytes += len(line)
        if self._held_bytes > FLUSH_BYTES:
            self.flush()

    def _entry(self, client: ClientSide, status: int, reason: str) -> dict[str, Any]:
        pair, head, verdict = client.pair, client.head, client.verdict
        facts = client.facts
        took = self._clock() - client.started if client.started else 0.0
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(self._wall_clock(), UTC).isoformat(timespec="microseconds"),
            "node": self._node(),
            "source": _party(pair.source, facts.source_ip, facts.source_port, facts.source_identity),
            "destination": _party(
                pair.destination, facts.destination_ip, facts.destination_port, facts.destination_identity
            ),
            "method": head.method.decode("latin-1") if head else "",
            "path": head.path.decode("latin-1") if head else "",
            "host": head.host if head else "",
            "status": status,
            "bytesIn": client.bytes_in,
            "bytesOut": client.bytes_out,
            "durationMs": round(took * 1000, 3),
            "decision": _decision(verdict),
            "policies": _policies(verdict.grounds.rules) if verdict else [],
            "rules": [_rule(ref) for ref in verdict.grounds.rules] if verdict else [],
            "revision": pair.revision,
        }
        if pair.service:
            entry["service"] = pair.service
        if reason:
            entry["reason"] = reason
        return entry


def _decision(verdict: Permit | Denial | None) -> str:
    if verdict is None:
        return "refused"
    return "deny" if isinstance(verdict, Denial) else "allow"


def _policies(rules: tuple[RuleRef, ...]) -> list[str]:
    return list(dict.fromkeys(ref.policy for ref in rules))


def _rule(ref: RuleRef) -> str:
    where = f"{ref.kind} {ref.policy}"
    return f"{where} {ref.rule}" if ref.rule else where


def _party(endpoint: Any, ip: str, port: int, identity: int) -> dict[str, Any]:
    party: dict[str, Any] = {"ip": ip, "port": port, "identity": identity}
    if endpoint is not None:
        party["namespace"], party["pod"] = endpoint.namespace, endpoint.name
        party["serviceAccount"] = endpoint.service_account
    return party
