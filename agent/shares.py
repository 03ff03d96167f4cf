"""How many tracked flows each pod has in use of its share. Pure.

The rule is the kernel's (bpf/lib/share.h): a flow is charged to the pod of this node that opened it, one from elsewhere
to the pod that it is for, and one that the node itself opened to nobody. The kernel counts what is added; the agent,
which removes entries and walks the map anyway, says how many of those are gone. So a count is never wrong for longer
than from one walk to the next, and then rather too high: flows that begin during a walk may be counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.datapath.conntrack import Entry
from agent.datapath.tables import EndpointFreed, EndpointSpent
from mesh.layouts import DIR_EGRESS, IDENTITY_HOST
from mesh.model import Address

PODS_TO_FILL = 4
LEAST = 16
_WRAP = 1 << 32


def usual_flows_per_pod(ct_entries: int) -> int:
    """A quarter of the map for what a pod opens, and as much for what it receives: one pod alone leaves at least half.

    Less would hurt the honest: a DNS server that answers 1,000 clients a second holds 60,000 flows, since UDP is
    remembered for a minute.
    """
    return max(ct_entries // PODS_TO_FILL, LEAST)


@dataclass(slots=True)
class Held:
    """Entries of the map that are charged to one pod."""

    opened: int = 0
    received: int = 0


def held_by_pod(flows: Iterable[Entry], owners: Mapping[Address, int]) -> dict[int, Held]:
    """`owners`: address -> number of the pod of this node that has it."""
    found: dict[int, Held] = {}
    for key, entry in flows:
        if key.direction == DIR_EGRESS:
            payer, opened = key.endpoint, True
        elif entry.peer_identity == IDENTITY_HOST:
            continue
        else:
            sender = owners.get(key.source)
            payer, opened = (key.endpoint, False) if sender is None else (sender, True)
        held = found.setdefault(payer, Held())
        if opened:
            held.opened += 1
        else:
            held.received += 1
    return found


def freed(spent: EndpointSpent, held: Held) -> EndpointFreed:
    """What makes the kernel's difference the number that is really held. Both wrap."""
    return EndpointFreed(opened=(spent.opened - held.opened) % _WRAP, received=(spent.received - held.received) % _WRAP)
