"""Hangs tc programs on interfaces, replaces them in place, and finds out whether they still hang there.

One filter per hook, always with the same priority and handle, so a newer program takes the place of an older one in one
step: there is no moment without a program. Filters of others on the same interface are left alone, but one that stands
before ours is reported. Messages and numbers are those of linux/rtnetlink.h and linux/pkt_cls.h.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from enum import IntEnum

from agent.datapath.links import LinkError, interface_name
from agent.datapath.rtnetlink import CREATE, EXCLUSIVE, REPLACE, Refused, Rtnetlink, attribute, attributes, number

_PRIORITY = 1
_HANDLE = 1
_ETH_P_ALL = 0x0300  # in the network's byte order
_CLASSID = 1
_NAME_PREFIX = "weft:"

_NEW_QDISC, _DELETE_QDISC, _GET_QDISC = 36, 37, 38
_NEW_FILTER, _DELETE_FILTER, _GET_FILTER = 44, 45, 46
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_KIND, _OPTIONS = 1, 2
_BPF_CLASSID, _BPF_FD, _BPF_NAME, _BPF_FLAGS = 3, 6, 7, 8
_DIRECT_ACTION = 1
_TCMSG = struct.Struct("=BxHiIII")
_GONE = (errno.ENODEV, errno.ENOENT, errno.EINVAL)
"""No such interface, or no clsact on it."""


class Hook(IntEnum):
    """Parent of the filter, as the kernel sees it: from the interface's side, not the pod's."""

    INGRESS = 0xFFFFFFF2
    EGRESS = 0xFFFFFFF3


@dataclass(frozen=True, slots=True)
class Filter:
    """A bpf filter found on a hook.

    Ours are called `weft:INSTANCE:PROGRAM:NUMBER`: the name tells whose it is even where the pins are gone, and an
    uninstall must not touch another instance's.
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


def _tcmsg(ifindex: int, parent: int, *, handle: int = 0, priority: int = 0) -> bytes:
    """struct tcmsg; a filter's priority comes with its protocol."""
    return _TCMSG.pack(0, 0, ifindex, handle, parent, priority << 16 | _ETH_P_ALL if priority else 0)


def attach(ifindex: int, hook: Hook, program: Program, fd: int) -> None:
    """Hang the program there, or let it take its predecessor's place."""
    options = number(_BPF_CLASSID, _CLASSID) + number(_BPF_FD, fd)
    options += attribute(_BPF_NAME, _text(program.filter_name)) + number(_BPF_FLAGS, _DIRECT_ACTION)
    body = _tcmsg(ifindex, hook, handle=_HANDLE, priority=_PRIORITY)
    body += attribute(_KIND, _text("bpf")) + attribute(_OPTIONS, options)
    try:
        with Rtnetlink() as link:
            _ensure_clsact(link, ifindex)
            link.change(_NEW_FILTER, body, CREATE | REPLACE)
    except (Refused, OSError, LinkError) as error:
        raise LinkError(f"cannot attach {program.name} to interface {ifindex}: {error}") from error


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _ensure_clsact(link: Rtnetlink, ifindex: int) -> None:
    if _has_clsact(link, ifindex):
        return
    body = _tcmsg(ifindex, _CLSACT, handle=_CLSACT_HANDLE) + attribute(_KIND, _text("clsact"))
    try:
        link.change(_NEW_QDISC, body, CREATE | EXCLUSIVE)
    except Refused as error:
        if error.errno != errno.EEXIST or _has_clsact(link, ifindex):
            raise
        raise LinkError(f"interface {ifindex} has an ingress qdisc of someone else; remove it") from error


def _has_clsact(link: Rtnetlink, ifindex: int) -> bool:
    """Not merely an `ingress` qdisc, which has the same handle."""
    try:
        found = link.get(_GET_QDISC, _tcmsg(ifindex, _CLSACT))
    except Refused as error:
        if error.errno in _GONE:
            return False
        raise
    return attributes(found[_TCMSG.size :]).get(_KIND) == _text("clsact")


def filters(ifindex: int, hook: Hook) -> list[Filter]:
    """The bpf filters on a hook, in the order in which they run. Empty also where the interface is gone."""
    with _refusals_told(), Rtnetlink() as link:
        return _filters(link, ifindex, hook)


def _filters(link: Rtnetlink, ifindex: int, hook: Hook) -> list[Filter]:
    try:
        rows = link.dump(_GET_FILTER, _tcmsg(ifindex, hook))
    except Refused as error:
        if error.errno in _GONE:
            return []
        raise
    found: list[Filter] = []
    for row in rows:
        _, _, where, handle, parent, info = _TCMSG.unpack_from(row)
        told = attributes(row[_TCMSG.size :])
        # a filter's priority is told once without a handle and options, for the classifier as a whole
        if told.get(_KIND) != _text("bpf") or _OPTIONS not in told or (where, parent) != (ifindex, hook):
            continue
        name = attributes(told[_OPTIONS]).get(_BPF_NAME, b"")
        found.append(Filter(name.rstrip(b"\0").decode(errors="replace"), info >> 16, handle))
    return sorted(found, key=lambda one: one.priority)


def missing(wanted: list[tuple[int, Hook, Program]]) -> list[str]:
    """What is not as it should be."""
    with _refusals_told(), Rtnetlink() as link:
        found = [_filters(link, ifindex, hook) for ifindex, hook, _ in wanted]
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
    try:
        with Rtnetlink() as link:
            left = sum(_remove(link, ifindex, hook, instance) for hook in Hook)
            if not left and _has_clsact(link, ifindex):
                link.change(_DELETE_QDISC, _tcmsg(ifindex, _CLSACT, handle=_CLSACT_HANDLE))
    except Refused as error:
        if error.errno not in (errno.ENODEV, errno.ENOENT):
            raise LinkError(f"netlink: {error}") from error
    except OSError as error:
        raise LinkError(f"netlink: {error}") from error


def remove(ifindex: int, hook: Hook, instance: str) -> None:
    """Take this instance's filters off one hook."""
    with _refusals_told(), Rtnetlink() as link:
        _remove(link, ifindex, hook, instance)


def _remove(link: Rtnetlink, ifindex: int, hook: Hook, instance: str) -> int:
    """Returns how many filters of others are left there."""
    left = 0
    for found in _filters(link, ifindex, hook):
        if not found.of(instance):
            left += 1
            continue
        where = _tcmsg(ifindex, hook, handle=found.handle, priority=found.priority)
        link.change(_DELETE_FILTER, where + attribute(_KIND, _text("bpf")))
    return left


def attached_interfaces(indexes: list[int], instance: str) -> list[int]:
    """Those that carry a filter of this instance."""
    with _refusals_told(), Rtnetlink() as link:
        return [index for index in indexes if any(one.of(instance) for one in _on_both_hooks(link, index))]


def in_use(indexes: list[int]) -> bool:
    """Does any instance hang on one of these? Then the namespace is its, and so are its rules."""
    with _refusals_told(), Rtnetlink() as link:
        return any(one.name.startswith(_NAME_PREFIX) for index in indexes for one in _on_both_hooks(link, index))


def _on_both_hooks(link: Rtnetlink, ifindex: int) -> list[Filter]:
    return [one for hook in Hook for one in _filters(link, ifindex, hook)]


class _refusals_told:
    """What netlink refuses becomes a LinkError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refused | OSError):
            raise LinkError(f"netlink: {error}") from error
