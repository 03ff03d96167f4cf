"""What the agent asks of a datapath. `kernel.py` answers with eBPF, `fake.py` with dictionaries; one contract test.

Keys and values are the frozen types of `tables.py`. Every call either does what it says or raises `DatapathError` with
a sentence for an operator; `MapFull` is the one error that a caller can act upon.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from agent.datapath.tables import (
    AddressKey,
    BackendEntry,
    Counter,
    CtEntry,
    CtKey,
    EndpointEntry,
    EndpointFreed,
    EndpointSpent,
    FlowEvent,
    IpcacheEntry,
    IpcacheKey,
    NodeConfig,
    PolicyKey,
    PolicyPage,
    RedirectKey,
    RedirectRecord,
    ServiceEntry,
    ServiceKey,
)

K = TypeVar("K")
V = TypeVar("V")


class DatapathError(Exception):
    """The kernel refused. The text names the object, the errno and what to do."""


class MapFull(DatapathError):
    """A map has no room for one more entry (E2BIG or ENOSPC)."""


class Table(Protocol, Generic[K, V]):
    """One pinned map."""

    name: str
    max_entries: int

    def get(self, key: K) -> V | None: ...
    def put(self, key: K, value: V) -> None:
        """Create or replace in one write. Raises MapFull."""

    def put_many(self, entries: Mapping[K, V]) -> None:
        """As `put`, in the order given, in one system call where the kernel can."""

    def delete(self, key: K) -> None:
        """Deleting what is not there is no error."""

    def delete_many(self, keys: list[K]) -> None:
        """As `delete`, in the order given."""

    def items(self) -> Iterator[tuple[K, V]]:
        """A walk that tolerates concurrent changes; an entry may be missed or seen twice while the kernel writes."""

    def raw_items(self) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
        """For `weft map dump`: fields by name, addresses as text."""


class Tables(Protocol):
    """Every map that the agent writes or reads, by its stem."""

    ipcache: Table[IpcacheKey, IpcacheEntry]
    endpoint: Table[int, EndpointEntry]
    endpoint_by_ifindex: Table[int, int]
    endpoint_by_address: Table[AddressKey, int]
    endpoint_by_netns: Table[int, int]
    policy: Table[PolicyKey, PolicyPage]
    conntrack: Table[CtKey, CtEntry]
    spent: Table[int, EndpointSpent]
    """By endpoint; read only. The kernel counts up what each has taken."""
    freed: Table[int, EndpointFreed]
    """By endpoint: how much of that is gone again."""
    service: Table[ServiceKey, ServiceEntry]
    """Besides each port, every service address needs an entry ServiceKey(address, 0, 0) -> ServiceEntry(number, 0, 0):
    it makes the kernel refuse the service's other ports, and packets that went past the socket hooks."""
    backend: Table[int, BackendEntry]
    redirect: Table[RedirectKey, RedirectRecord]

    def by_name(self, name: str) -> Table[object, object]:
        """Any map by the name that `weft map dump` takes; DatapathError lists the names."""

    def names(self) -> list[str]: ...


class Datapath(Protocol):
    """The programs, their maps and where they are attached, of one node."""

    tables: Tables

    def ensure_loaded(self) -> bool:
        """Programs and maps are pinned and are those of this version. True: something was compiled (cold start).

        What is pinned already is kept when its hashes agree; otherwise the new programs are loaded beside the old
        ones and take over maps whose layout is unchanged. Attached hooks keep running meanwhile.
        """

    def configure(self, config: NodeConfig) -> None: ...
    def prepare_node(self) -> None:
        """Idempotent: the ip rules and local routes that bring marked packets to the proxy, sysctls, and sk_lookup.

        Runs in the node's network namespace.
        """

    def attach_pod(self, ifindex: int) -> None:
        """tc_from_pod and tc_to_pod on the host side of a veth; replaces in place, never detaches first."""

    def attach_guest(self, ifindex: int) -> None:
        """tc_from_guest on the host side of an un-enrolled pod's veth, in the place of tc_from_pod if that hangs there;
        then tc_to_pod goes."""

    def detach_pod(self, ifindex: int) -> None:
        """Enrolled or not."""

    def attach_uplink(self, ifindex: int) -> None: ...
    def fast_path_obstacles(self, *, pods: list[int]) -> list[str]:
        """What forwarded packets meet on this node that they would miss on the fast path; empty: it may be open."""

    def open_fast_path(self, seconds: float, uplinks: list[int]) -> None:
        """Known direct flows may pass by the node's IP stack for so long; 0 closes it at once."""

    def attach_cgroup(self, path: str) -> None:
        """The socket hooks, on the cgroup that holds the node's pods. Through pinned links, updated in place."""

    def hooks_missing(self, *, pods: list[int], uplinks: list[int], guests: Sequence[int] = ()) -> list[str]:
        """Hooks that are gone or are not ours any more: texts such as `tc_to_pod on veth3a (ifindex 12)`."""

    def event_fd(self) -> int:
        """Readable when flow events wait."""

    def read_events(self, take: Callable[[FlowEvent], None], *, limit: int) -> int:
        """Hand over at most about `limit` events; returns how many."""

    def counters(self) -> dict[tuple[int, int], Counter]:
        """(drop reason, direction) -> packets and bytes, summed over CPUs."""

    def gauges(self) -> dict[str, int]: ...
    def redirect_map_fd(self) -> int:
        """A new read-only descriptor of the redirect map, for the proxy. The caller closes it."""

    def offer_listeners(self, v4: socket.socket, v6: socket.socket) -> None:
        """Whom the kernel shall give a connection whose port was used a moment ago. Idempotent."""

    def uninstall(self) -> None:
        """Detach everything, remove every pin, rule and route of this instance."""
