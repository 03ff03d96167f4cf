"""Keeps the fast path open while nothing on this node speaks against it, and says why where it is closed.

The kernel is given a moment until which it may use the path, again with every look: the word of an agent that is gone
runs out by itself.
"""

from __future__ import annotations

import logging

from agent.datapath.interface import Datapath, DatapathError
from mesh.journal import line

log = logging.getLogger("fastpath")

LEASE_S = 15.0
"""Some looks of the healer, and longer than a restart of the agent takes."""
SHOWN = 3


class FastPath:
    def __init__(self, datapath: Datapath, *, wanted: bool) -> None:
        self._datapath = datapath
        self._wanted = wanted
        self.closed = "not looked yet" if wanted else "--fast-path off"
        """Why the fast path is not in use; empty: it is."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Nothing where it is open, or was switched off on purpose."""
        return (f"the fast path is closed: {self.closed}",) if self.closed and self._wanted else ()

    def look(self, pods: list[int], uplinks: list[int]) -> None:
        """One round, in the thread that writes maps. Closed whenever it cannot be told."""
        try:
            why = self._why_not(pods)
        except DatapathError as error:
            why = str(error)
        self._datapath.open_fast_path(0 if why else LEASE_S, uplinks)
        if why != self.closed:
            log.info(line("fast path closed", why=why) if why else line("fast path open"))
            self.closed = why

    def _why_not(self, pods: list[int]) -> str:
        if not self._wanted:
            return "--fast-path off"
        found = self._datapath.fast_path_obstacles(pods=pods)
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return ", ".join(found[:SHOWN]) + more
