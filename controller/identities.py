"""Numbers for identities: the same shape has the same number for ever, and a number never comes back.

Agents, events in flight and conntrack entries may hold a number long after its shape is gone, so numbers are only ever
counted up, in the store. A build of the policy asks for numbers in memory; `keep` writes the new ones before anybody
is told of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.errors import ControllerError
from controller.store import Store
from mesh.model import ANY_IDENTITY, FIRST_ADDRESS_IDENTITY, FIRST_POD_IDENTITY, IdentityId, IdentityKind
from mesh.policy.identities import IdentityShape

_POD, _ADDRESS = "next_pod_identity", "next_address_identity"
FORGET_ABOVE = 10_000
"""Shapes that nobody uses are forgotten once there are this many more than in use. Their numbers stay spent."""


class Numbers:
    """The allocator. `__call__` may run in a worker thread; no two builds run at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = store.identities()
        self._next = {
            _POD: store.counter(_POD, FIRST_POD_IDENTITY),
            _ADDRESS: store.counter(_ADDRESS, FIRST_ADDRESS_IDENTITY),
        }
        self._end = {_POD: FIRST_ADDRESS_IDENTITY, _ADDRESS: int(ANY_IDENTITY)}
        self._new: dict[str, int] = {}

    def __call__(self, shape: IdentityShape) -> IdentityId:
        key = shape.key
        number = self._known.get(key)
        if number is None:
            counter = _ADDRESS if shape.kind is IdentityKind.ADDRESS else _POD
            number = self._next[counter]
            if number >= self._end[counter]:
                raise ControllerError(f"all {shape.kind.value} identities are spent; start with a new --state")
            self._next[counter] = number + 1
            self._known[key] = self._new[key] = number
        return IdentityId(number)

    def keep(self) -> None:
        """Write what was newly given. Raises StoreError; then nobody may be told of the new numbers yet: call again."""
        if self._new:
            self._store.add_identities(self._new, self._next)
            self._new = {}

    def forget(self, used: Iterable[IdentityId]) -> int:
        """Drop shapes that are not in use, where there are many. Answers how many."""
        kept = set(used)
        if len(self._known) <= len(kept) + FORGET_ABOVE:
            return 0
        idle = [shape for shape, number in self._known.items() if number not in kept]
        self._store.forget_identities(idle)
        for shape in idle:
            del self._known[shape]
        return len(idle)
