"""The two ends of a pod's veth, as the fast path must know them: asked from the node's side alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from agent.datapath.links import LinkError
from agent.datapath.rtnetlink import Refused, Rtnetlink, attributes, number
from mesh import layouts

_GET_LINK = 16 + 2
_IFINFOMSG = struct.Struct("=BxHiII")
_ADDRESS, _LINK, _LINKINFO, _LINK_NETNSID, _TARGET_NETNSID = 1, 5, 18, 37, 46
_INFO_KIND = 1
_MAC_BYTES = 6


def veth(ifindex: int) -> layouts.VethEntry | None:
    """None: not a veth whose other end is in another namespace, so no packet can be put into that end."""
    with _asking() as link:
        here = _link(link, ifindex)
        if _kind(here) != "veth" or _LINK not in here or _LINK_NETNSID not in here:
            return None
        peer, namespace = (struct.unpack("=i", here[one])[0] for one in (_LINK, _LINK_NETNSID))
        there = _link(link, peer, namespace)
    macs = there.get(_ADDRESS, b""), here.get(_ADDRESS, b"")
    if _kind(there) != "veth" or any(len(mac) != _MAC_BYTES for mac in macs):
        return None
    entry = layouts.VethEntry()
    entry.pod_mac[:], entry.node_mac[:] = macs
    return entry


@contextmanager
def _asking() -> Iterator[Rtnetlink]:
    try:
        with Rtnetlink() as link:
            yield link
    except (Refused, OSError) as error:
        raise LinkError(f"netlink: {error}") from error


def _link(link: Rtnetlink, ifindex: int, namespace: int | None = None) -> dict[int, bytes]:
    body = _IFINFOMSG.pack(0, 0, ifindex, 0, 0)
    if namespace is not None:
        body += number(_TARGET_NETNSID, namespace)
    return attributes(link.get(_GET_LINK, body)[_IFINFOMSG.size :])


def _kind(link: dict[int, bytes]) -> str:
    return attributes(link.get(_LINKINFO, b"")).get(_INFO_KIND, b"").rstrip(b"\0").decode(errors="replace")
