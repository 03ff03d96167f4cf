"""Hangs tc programs on interfaces, replaces them in place, and finds out whether they still hang there.

One filter per hook, always with the same priority and handle, so a newer program takes the place of an older one in one
step: there is no moment without a program. Filters of others on the same interface are left alone, but one that stands
before ours is reported.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.datapath.links import LinkError, interface_name, with_iproute

_PRIORITY = 1
_HANDLE = 1
_ETH_P_ALL = 0x0003
_CLASSID = 1
_NAME_PREFIX = "weft:"


class Hook(IntEnum):
    """Parent of the filter, as the kernel sees it: from the interface's side, not the pod's."""

    INGRESS = 0xFFFFFFF2
    EGRESS = 0xFFFFFFF3


@dataclass(frozen=True, slots=True)
class Filter:
    """A bpf filter found on a hook.

    Ours are called `weft:INSTANCE:PROGRAM:NUMBER`: pyroute2 does not read the program's number, and an uninstall must
    not touch another instance's.
    """

    name: str
    priority: int
    handle: int

    def of(self, instance: str) -> bool:
        return self.name.startswith(f"{_NAME_PREFIX}{instance}:")


@dataclass(frozen=True, slots=True)
class Program:
    """A loaded program of one instance."""

    instance: str
    name: str
    number: int

    @property
    def filter_name(self) -> str:
        return f"{_NAME_PREFIX}{self.instance}:{self.name}:{self.number}"


def attach(ifindex: int, hook: Hook, program: Program, fd: int) -> None:
    """Hang the program there, or let it take its predecessor's place."""

    def work(route: IPRoute) -> None:
        _ensure_clsact(route, ifindex)
        route.tc(
            "replace-filter",
            "bpf",
            ifindex,
            handle=_HANDLE,
            parent=int(hook),
            prio=_PRIORITY,
            protocol=_ETH_P_ALL,
            fd=fd,
            name=program.filter_name,
            classid=_CLASSID,
            direct_action=True,
        )

    try:
        with_iproute(work)
    except LinkError as error:
        raise LinkError(f"cannot attach {program.name} to interface {ifindex}: {error}") from error


def _ensure_clsact(route: IPRoute, ifindex: int) -> None:
    try:
        route.tc("add", "clsact", ifindex)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise
        kinds = [qdisc.get_attr("TCA_KIND") for qdisc in route.get_qdiscs(ifindex)]
        if "clsact" not in kinds:
            raise LinkError(f"interface {ifindex} has an ingress qdisc of someone else; remove it") from error


def filters(ifindex: int, hook: Hook) -> list[Filter]:
    """The bpf filters on a hook, in the order in which they run. Empty also where the interface is gone."""
    return with_iproute(lambda route: _filters(route, ifindex, hook))


def _filters(route: IPRoute, ifindex: int, hook: Hook) -> list[Filter]:
    found: list[Filter] = []
    try:
        rows = list(route.get_filters(ifindex, parent=int(hook)))
    except NetlinkError as error:
        if error.code in (errno.ENODEV, errno.ENOENT, errno.EINVAL):
            return []  # no such interface, or no clsact on it
        raise
    for row in rows:
        options = row.get_attr("TCA_OPTIONS")
        if row.get_attr("TCA_KIND") != "bpf" or options is None or row["parent"] != int(hook):
            continue
        found.append(Filter(_text(options.get_attr("TCA_BPF_NAME")), row["info"] >> 16, row["handle"]))
    return sorted(found, key=lambda one: one.priority)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name or "")


def missing(wanted: list[tuple[int, Hook, Program]]) -> list[str]:
    """What is not as it should be."""
    found = with_iproute(lambda route: [_filters(route, ifindex, hook) for ifindex, hook, _ in wanted])
    texts = [_wrong(ifindex, program, there) for (ifindex, _, program), there in zip(wanted, found, strict=True)]
    return [text for text in texts if text]


def _wrong(ifindex: int, program: Program, found: list[Filter]) -> str:
    if not found:
        return f"{program.name} on {_label(ifindex)}"
    if not found[0].of(program.instance):
        return f"{program.name} on {_label(ifindex)}: the program {found[0].name or 'of someone else'} runs before it"
    if found[0].name != program.filter_name:
        return f"{program.name} on {_label(ifindex)}: another version hangs there"
    return ""


def _label(ifindex: int) -> str:
    try:
        return f"{interface_name(ifindex)} (ifindex {ifindex})"
    except LinkError:
        return f"ifindex {ifindex}, which is gone"


def detach(ifindex: int, instance: str) -> None:
    """Take this instance's filters away, and the clsact qdisc where nobody else uses it. No error if all is gone."""

    def work(route: IPRoute) -> None:
        left = 0
        for hook in Hook:
            for found in _filters(route, ifindex, hook):
                if not found.of(instance):
                    left += 1
                    continue
                route.tc(
                    "del-filter",
                    "bpf",
                    ifindex,
                    handle=found.handle,
                    parent=int(hook),
                    prio=found.priority,
                    protocol=_ETH_P_ALL,
                )
        if not left and any(qdisc.get_attr("TCA_KIND") == "clsact" for qdisc in route.get_qdiscs(ifindex)):
            route.tc("del", "clsact", ifindex)

    try:
        with_iproute(work)
    except LinkError as error:
        if isinstance(error.__cause__, NetlinkError) and error.__cause__.code in (errno.ENODEV, errno.ENOENT):
            return
        raise


def attached_interfaces(indexes: list[int], instance: str) -> list[int]:
    """Those that carry a filter of this instance."""

    def carries(route: IPRoute, index: int) -> bool:
        return any(one.of(instance) for hook in Hook for one in _filters(route, index, hook))

    def work(route: IPRoute) -> list[int]:
        return [index for index in indexes if carries(route, index)]

    return with_iproute(work)


def in_use(indexes: list[int]) -> bool:
    """Does any instance hang on one of these? Then the namespace is its, and so are its rules."""

    def work(route: IPRoute) -> bool:
        found = (one for index in indexes for hook in Hook for one in _filters(route, index, hook))
        return any(one.name.startswith(_NAME_PREFIX) for one in found)

    return with_iproute(work)
