"""One agent's state of knowledge: what it holds, what is on its way, what it refused.

Pure: no stream, no clock. At most one snapshot or delta is on its way; whatever happens meanwhile is coalesced into the
next. An agent that refused a revision keeps the one before; it tries again by itself and acknowledges late, or opens a
new stream, or is sent the next revision: it is not sent the same one twice on one stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from mesh.model import Revision
from mesh.snapshot import Delta, NodeSnapshot, diff


class ProtocolViolation(Exception):
    """The agent said something that cannot be; its stream ends."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The agent's nack."""

    snapshot: NodeSnapshot
    reason: str

    @property
    def revision(self) -> Revision:
        return self.snapshot.revision


class NodeSession:
    """What one connected agent knows."""

    def __init__(self, held: NodeSnapshot | None = None) -> None:
        """`held` is the snapshot that the agent is known to hold, or None: it gets a whole one."""
        self.held = held
        self.refusal: Refusal | None = None
        self._sent: NodeSnapshot | None = None

    @property
    def acked(self) -> Revision:
        return self.held.revision if self.held is not None else Revision(0)

    @property
    def waiting(self) -> bool:
        """Something is on its way and not yet answered."""
        return self._sent is not None

    def offer(self, newest: NodeSnapshot) -> NodeSnapshot | Delta | None:
        """What to send now; None where nothing is to be sent."""
        if self._sent is not None or self.acked == newest.revision:
            return None  # Revisions begin at 1, so this is never one who holds nothing.
        if self.refusal is not None and self.refusal.revision == newest.revision:
            return None
        self._sent = newest
        return newest if self.held is None else diff(self.held, newest)

    def ack(self, revision: int) -> None:
        """The agent enforces `revision`."""
        if self._sent is not None and self._sent.revision == revision:
            self.held, self._sent, self.refusal = self._sent, None, None
        elif self.refusal is not None and self.refusal.revision == revision and self._sent is None:
            self.held, self.refusal = self.refusal.snapshot, None
        elif self.held is None or revision != self.held.revision:
            raise ProtocolViolation(f"acknowledged revision {revision}, which was not sent to it")

    def nack(self, revision: int, reason: str) -> None:
        """The agent refused `revision` and keeps the one before."""
        if self._sent is not None and self._sent.revision == revision:
            self.refusal, self._sent = Refusal(self._sent, reason), None
        elif self.refusal is None or self.refusal.revision != revision:
            raise ProtocolViolation(f"refused revision {revision}, which was not sent to it")
