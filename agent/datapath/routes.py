"""The node's rules and routes for redirected packets, by pyroute2, in the network namespace of the caller.

A packet that tc gave to one of the proxy's sockets carries mark_to_proxy; a rule sends it to a table that calls every
address local, so the kernel delivers it instead of forwarding it. pyroute2 is as large as a quarter of the agent and
needed once, so this runs as a process that ends: `python -m agent.datapath.routes prepare|restore --mark N --mask N`.
Exit 0: done. Exit 1: one sentence on standard error says why not. `links.prepared` tells whether it is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import socket
import sys
from collections.abc import Iterator
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.datapath.links import FAMILIES, LOCAL_TABLE, LOOPBACK, RTN_LOCAL

RULE_PRIORITY = 100
_SCOPE_HOST = 254
_HARMLESS = (errno.ENOENT, errno.ESRCH, errno.EEXIST, errno.EAFNOSUPPORT)
"""There already, or gone already, or a family that this kernel does not have."""


def prepare(mark: int, mask: int) -> None:
    """Idempotent."""
    with IPRoute() as route:
        route.link("set", index=LOOPBACK, state="up")
        for family in FAMILIES:
            if not _rules(route, family, mark, mask):
                route.rule("add", family=family, fwmark=mark, fwmask=mask, table=LOCAL_TABLE, priority=RULE_PRIORITY)
            with _quiet():
                route.route("add", **_local_route(family))


def restore(mark: int, mask: int) -> None:
    """Take rules and routes away again; sysctls stay, others may count on them by now."""
    with IPRoute() as route:
        for family in FAMILIES:
            for _ in range(len(_rules(route, family, mark, mask))):
                route.rule("del", family=family, fwmark=mark, fwmask=mask, table=LOCAL_TABLE, priority=RULE_PRIORITY)
            with _quiet():
                route.route("del", **_local_route(family))


def _local_route(family: int) -> dict[str, Any]:
    anything = "0.0.0.0/0" if family == socket.AF_INET else "::/0"
    return {
        "family": family,
        "dst": anything,
        "oif": LOOPBACK,
        "table": LOCAL_TABLE,
        "type": RTN_LOCAL,
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
def _quiet() -> Iterator[None]:
    """What is there already, or gone already, is no error."""
    try:
        yield
    except NetlinkError as error:
        if error.code not in _HARMLESS:
            raise


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m agent.datapath.routes", description=__doc__)
    parser.add_argument("work", choices=("prepare", "restore"))
    parser.add_argument("--mark", type=int, required=True)
    parser.add_argument("--mask", type=int, required=True)
    options = parser.parse_args(arguments)
    try:
        (prepare if options.work == "prepare" else restore)(options.mark, options.mask)
    except (NetlinkError, OSError) as error:
        print(f"routes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
