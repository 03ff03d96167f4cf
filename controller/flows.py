"""Flow records of all nodes: a bounded ring for questions about the past, bounded queues for those who follow.

The oldest record leaves the ring for a new one; a follower that is too slow loses records and is told how many.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from mesh.model import FlowRecord, Party, Prefix, Verdict

RING_LIMIT = 100_000
RING_BYTES = 96 << 20
"""About; records have paths of callers in them, which may be long."""
FOLLOWER_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class End:
    """What a person asks of one end of a flow: a namespace, a pod or account `ns/name`, an address or CIDR."""

    namespace: str = ""
    name: str = ""
    block: Prefix | None = None

    @classmethod
    def read(cls, text: str) -> End:
        """`NS/NAME`, `NS/`, an address or a CIDR; ValueError otherwise. Empty: anything."""
        if not text:
            return cls()
        try:
            return cls(block=ip_network(text))
        except ValueError:
            namespace, slash, name = text.partition("/")
            if not slash or not namespace or "/" in name:
                raise ValueError(f"{text[:80]!r} is neither NAMESPACE/POD, NAMESPACE/, an address nor a CIDR") from None
            if "." in namespace or ":" in namespace:
                why = "bits are set behind its length, or it is too long"
                raise ValueError(f"{text[:80]!r} is not a CIDR: {why}") from None
            return cls(namespace, name)

    def matches(self, party: Party, service: str = "") -> bool:
        if self.block is not None:
            try:
                return ip_address(party.ip) in self.block
            except ValueError:
                return False
        if not self.namespace or service == f"{self.namespace}/{self.name}":
            return True
        return party.namespace == self.namespace and self.name in ("", party.pod, party.service_account)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFilter:
    """Which records are asked for; everything given must hold."""

    source: End = field(default_factory=End)
    destination: End = field(default_factory=End)
    verdict: Verdict | None = None
    http_status: tuple[str, ...] = ()
    """`403`, or a class such as `5xx`."""
    namespace: str = ""
    """Either end is in it."""
    since_ns: int = 0

    def matches(self, flow: FlowRecord) -> bool:
        return (
            flow.time_ns >= self.since_ns
            and (self.verdict is None or flow.verdict is self.verdict)
            and (not self.namespace or self.namespace in (flow.source.namespace, flow.destination.namespace))
            and self.source.matches(flow.source)
            and self.destination.matches(flow.destination, flow.service)
            and (not self.http_status or self._has_status(flow))
        )

    def _has_status(self, flow: FlowRecord) -> bool:
        if flow.http is None:
            return False
        status = str(flow.http.status)
        return any(asked == status or asked.lower() == f"{status[0]}xx" for asked in self.http_status)


class Follower:
    """One who follows flows as they come."""

    def __init__(self, wanted: FlowFilter, limit: int) -> None:
        self._wanted = wanted
        self._queue: asyncio.Queue[FlowRecord | None] = asyncio.Queue(limit + 1)
        self._limit = limit
        self.lost = 0

    def offer(self, flow: FlowRecord) -> None:
        if not self._wanted.matches(flow):
            return
        if self._queue.qsize() >= self._limit:
            self.lost += 1
        else:
            self._queue.put_nowait(flow)

    def end(self) -> None:
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def next(self) -> FlowRecord | None:
        """The next record; None when the controller stops."""
        return await self._queue.get()

    def take_lost(self) -> int:
        """How many records were lost since the last call."""
        lost, self.lost = self.lost, 0
        return lost


def is_foreign(flow: FlowRecord, node: str, node_of: Callable[[str], str | None]) -> bool:
    """Whether a record cannot be this node's: every pod that it names is known to run on another.

    `node_of` gives a pod's node by `ns/name`, None for a pod that is not known (it may have just gone).
    """
    named = [f"{end.namespace}/{end.pod}" for end in (flow.source, flow.destination) if end.pod]
    return bool(named) and all(node_of(pod) not in (None, "", node) for pod in named)


def own_flows(
    flows: Iterable[FlowRecord], node: str, node_of: Callable[[str], str | None]
) -> tuple[list[FlowRecord], list[str]]:
    """What a node is believed, and why the rest is not taken: it speaks of its own pods alone."""
    own: list[FlowRecord] = []
    objections: list[str] = []
    for flow in flows:
        if is_foreign(flow, node, node_of):
            objections.append("it tells of pods of other nodes")
        else:
            own.append(flow)
    return own, objections


def weight(flow: FlowRecord) -> int:
    """About how many bytes of memory a record takes: the texts that can be long, and the rest as a constant."""
    asked = len(flow.http.path) + len(flow.http.host) if flow.http is not None else 0
    return 800 + asked + sum(120 + len(rule.policy) + len(rule.rule) + len(rule.name) for rule in flow.rules)


class Flows:
    """The ring and its followers."""

    def __init__(self, limit: int = RING_LIMIT, bytes_limit: int = RING_BYTES) -> None:
        self._ring: deque[FlowRecord] = deque()
        self._limit, self._bytes_limit = limit, bytes_limit
        self._bytes = 0
        self._followers: set[Follower] = set()
        self._ended = False
        self.received = 0
        self.lost_on_nodes = 0

    def __len__(self) -> int:
        return len(self._ring)

    def add(self, node: str, flows: Iterable[FlowRecord], lost: int) -> None:
        """Records from a node. It speaks for itself alone, whatever its records say."""
        self.lost_on_nodes += lost
        for flow in flows:
            owned = flow if flow.node == node else replace(flow, node=node)
            self.received += 1
            self._keep(owned)
            for follower in self._followers:
                follower.offer(owned)

    def _keep(self, flow: FlowRecord) -> None:
        self._ring.append(flow)
        self._bytes += weight(flow)
        while len(self._ring) > self._limit or (self._bytes > self._bytes_limit and len(self._ring) > 1):
            self._bytes -= weight(self._ring.popleft())

    def past(self, wanted: FlowFilter, limit: int) -> list[FlowRecord]:
        """The newest records that match, oldest first; `limit` 0: all that the ring holds."""
        found: list[FlowRecord] = []
        for flow in reversed(self._ring):
            if limit and len(found) >= limit:
                break
            if wanted.matches(flow):
                found.append(flow)
        found.reverse()
        return found

    def follow(self, wanted: FlowFilter, limit: int = FOLLOWER_LIMIT) -> Follower:
        follower = Follower(wanted, limit)
        self._followers.add(follower)
        if self._ended:
            follower.end()
        return follower

    def leave(self, follower: Follower) -> None:
        self._followers.discard(follower)

    def end(self) -> None:
        """The controller stops."""
        self._ended = True
        for follower in self._followers:
            follower.end()
