"""A kernel that fails at a moment that the test chooses: every call of the fake that changes something is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.datapath.fake import FakeDatapath
from agent.datapath.interface import DatapathError

TABLES = (
    "ipcache",
    "endpoint",
    "endpoint_by_ifindex",
    "endpoint_by_address",
    "endpoint_by_netns",
    "policy",
    "service",
    "backend",
)
_CALLS = ("attach_pod", "attach_guest", "detach_pod", "configure")


class Faults:
    """`at`: how many calls still go well. `lasting`: how many fail from then on. A write of many does half of it."""

    def __init__(self, datapath: FakeDatapath) -> None:
        self.at = 1 << 30
        self.lasting = 0
        self.calls = 0
        self.failed: list[str] = []
        for name in TABLES:
            table: Any = getattr(datapath.tables, name)
            table.put_many = self._many(f"put {name}", table.put_many)
            table.delete_many = self._many(f"delete {name}", table.delete_many)
        for name in _CALLS:
            setattr(datapath, name, self._one(name, getattr(datapath, name)))

    def arm(self, at: int, lasting: int = 1) -> None:
        self.at, self.lasting, self.calls = at, lasting, 0
        self.failed.clear()

    def _fails(self, what: str) -> bool:
        self.calls += 1
        fails = self.at < self.calls <= self.at + self.lasting
        if fails:
            self.failed.append(what)
        return fails

    def _many(self, what: str, call: Callable[[Any], None]) -> Callable[[Any], None]:
        def faulty(entries: Any) -> None:
            if not self._fails(what):
                return call(entries)
            half = list(entries)[: len(entries) // 2]
            call({key: entries[key] for key in half} if isinstance(entries, Mapping) else half)
            raise DatapathError(f"{what}: no memory")

        return faulty

    def _one(self, what: str, call: Callable[[Any], None]) -> Callable[[Any], None]:
        def faulty(argument: Any) -> None:
            if self._fails(what):
                raise DatapathError(f"{what}: no memory")
            call(argument)

        return faulty
