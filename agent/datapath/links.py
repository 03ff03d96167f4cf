"""The node's routing for redirected packets, by netlink and sysctl, in the network namespace of the caller.

A packet that tc gave to one of the proxy's sockets carries mark_to_proxy; a rule sends it to a table that calls every
address local, so the kernel delivers it instead of forwarding it. pyroute2 lives here and in `attach.py` alone; it runs
in a thread of its own: it brings an event loop, which must not meet the agent's.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

T = TypeVar("T")

LOCAL_TABLE = 2005
RULE_PRIORITY = 100
_LOOPBACK = 1
_RTN_LOCAL = 2
_SCOPE_HOST = 254
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}
"""Forwarding between pods; and no reverse path filter: answers to the proxy come from where no route points to."""


class LinkError(Exception):
    """Netlink or sysctl refused; the text names the object."""


def with_iproute(work: Callable[[IPRoute], T]) -> T:
    """Run `work` on a fresh netlink socket, in a thread without an event loop. LinkError for what netlink refuses."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            with IPRoute() as route:
                result.append(work(route))
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name="netlink")
    thread.start()
    thread.join()
    if failure:
        if isinstance(failure[0], NetlinkError):
            raise LinkError(f"netlink: {failure[0]}") from failure[0]
        raise failure[0]
    return result[0]


def _absent(error: NetlinkError) -> bool:
    return error.code in (errno.ENOENT, errno.ESRCH, errno.EEXIST, errno.EAFNOSUPPORT)


def prepare(mark: int, mask: int) -> None:
    """Rules, local routes and sysctls. Idempotent."""

    def work(route: IPRoute) -> None:
        route.link("set", index=_LOOPBACK, state="up")
        for family in _FAMILIES:
            if not _rules(route, family, mark, mask):
                route.rule("add", family=family, fwmark=mark, fwmask=mask, table=LOCAL_TABLE, priority=RULE_PRIORITY)
            with _quiet():
                route.route("add", **_local_route(family))

    with_iproute(work)
    for name, value in SYSCTLS.items():
        write_sysctl(name, value)


def restore(mark: int, mask: int) -> None:
    """Take rules and routes away again; sysctls stay, others may count on them by now."""

    def work(route: IPRoute) -> None:
        for family in _FAMILIES:
            for _ in range(len(_rules(route, family, mark, mask))):
                route.rule("del", family=family, fwmark=mark, fwmask=mask, table=LOCAL_TABLE, priority=RULE_PRIORITY)
            with _quiet():
                route.route("del", **_local_route(family))

    with_iproute(work)


def prepared(mark: int, mask: int) -> bool:
    """Are the rules of both families there?"""
    return with_iproute(lambda route: all(_rules(route, family, mark, mask) for family in _FAMILIES))


def _local_route(family: int) -> dict[str, Any]:
    anything = "0.0.0.0/0" if family == socket.AF_INET else "::/0"
    return {
        "family": family,
        "dst": anything,
        "oif": _LOOPBACK,
        "table": LOCAL_TABLE,
        "type": _RTN_LOCAL,
        "scope": _SCOPE_HOST if family == socket.AF_INET else 0,
    }


def _rules(route: IPRoute, family: int, mark: int, mask: int) -> list[Any]:
    return [
        rule
        for rule in route.get_rules(family=family)
        if rule.get_attr("FRA_TABLE") == LOCAL_TABLE
        and rule.get_attr("FRA_FWMARK") == mark
        and rule.get_attr("FRA_FWMASK") == mask
    ]


@contextlib.contextmanager
def _quiet() -> Any:
    """What is there already, or gone already, is no error."""
    try:
        yield
    except NetlinkError as error:
        if not _absent(error):
            raise


def write_sysctl(name: str, value: str) -> None:
    """Set it where it differs. LinkError says which and why not; a sysctl that does not exist (no IPv6) is skipped."""
    path = Path("/proc/sys") / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LinkError(f"cannot set sysctl {name} to {value}: {error.strerror}") from error


def settle_interface(ifindex: int) -> None:
    """No reverse path filter on this interface: the greater of `all` and the interface's own value counts."""
    write_sysctl(f"net/ipv4/conf/{interface_name(ifindex)}/rp_filter", "0")


def interface_name(ifindex: int) -> str:
    try:
        return socket.if_indextoname(ifindex)
    except OSError as error:
        raise LinkError(f"there is no interface with index {ifindex} in this network namespace") from error


def interface_index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise LinkError(f"there is no interface called {name} in this network namespace") from error


def interface_indexes() -> list[int]:
    return [index for index, _ in socket.if_nameindex()]
