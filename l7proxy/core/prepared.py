"""What pairs of one view have in common, made once: halves of verdicts, and how to find the headers that rules name.

Between the bounds of the ports that a policy names all ports are alike, so a client that comes on thousands of them
costs a search in a short list for each, and not the preparation of every rule.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from mesh.model import DirectionPolicy, IdentityId, Protocol
from mesh.policy.decide import half
from mesh.policy.http import HttpHalf


class Prepared:
    """For one view. Policies are told apart as objects: those that were asked about are held, see `_bounds`."""

    HALVES = 4096
    """Remembered; emptied when full, pairs keep theirs."""

    __slots__ = ("_bounds", "_finders", "_halves")

    def __init__(self) -> None:
        self._bounds: dict[int, tuple[DirectionPolicy, list[int]]] = {}
        self._halves: dict[tuple[int, IdentityId, int], HttpHalf] = {}
        self._finders: dict[tuple[int, ...], tuple[tuple[DirectionPolicy, ...], re.Pattern[bytes] | None]] = {}

    def half(self, policy: DirectionPolicy, peer: IdentityId, port: int) -> HttpHalf:
        """What `policy` says of TCP from or to `peer` on `port`."""
        held = self._bounds.get(id(policy))
        if held is None:
            held = self._bounds[id(policy)] = (policy, _bounds(policy))
        key = (id(policy), peer, bisect_right(held[1], port))
        made = self._halves.get(key)
        if made is None:
            if len(self._halves) >= self.HALVES:
                self._halves.clear()
            made = self._halves[key] = half(policy, peer, Protocol.TCP, port)
        return made

    def finder(self, *policies: DirectionPolicy) -> re.Pattern[bytes] | None:
        """Finds the header fields that rules of these look at; None where they look at none."""
        key = tuple(map(id, policies))
        held = self._finders.get(key)
        if held is None:
            names = {name for policy in policies for name in _headers_in(policy)}
            held = self._finders[key] = (policies, _finder(names))
        return held[1]


def _bounds(policy: DirectionPolicy) -> list[int]:
    """Where the rules that cover a port can change: from one of these to the next they are the same."""
    ranges = (ports for rule in policy.rules for grant in rule.grants for ports in grant.ports)
    return sorted({bound for ports in ranges for bound in (ports.low, ports.high + 1)})


def _headers_in(policy: DirectionPolicy) -> set[str]:
    return {header.name.lower() for rule in policy.rules for match in rule.http or () for header in match.headers}


def _finder(names: set[str]) -> re.Pattern[bytes] | None:
    """Names in any case, dash or underscore. No user's pattern gets in."""
    if not names:
        return None
    spelt = (re.escape(name.encode("ascii", "replace").replace(b"_", b"-")) for name in sorted(names))
    either = b"|".join(name.replace(rb"\-", b"[-_]") for name in spelt)
    return re.compile(rb"(?i:\r\n(" + either + rb")):([^\r\n]*)")
