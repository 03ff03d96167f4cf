"""What the agent needs to know and set of its network namespace: interfaces, sysctls, and whether redirected packets
come home. Rules and routes themselves are made by `routes.py`.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from agent.datapath.rtnetlink import Refused, Rtnetlink, attribute, attributes, number

LOCAL_TABLE = 2005
LOOPBACK = 1
RTN_LOCAL = 2
FAMILIES = (socket.AF_INET, socket.AF_INET6)

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/tcp_early_demux": "0",
}
"""Forwarding between pods; and no reverse path filter: answers to the proxy come from where no route points to.

No early demux (one switch for IPv4 and IPv6): before it routes, the kernel looks for a socket with a packet's tuple,
and what the proxy's legs leave behind (TIME_WAIT, kept connections) has the tuples of pods. It delivers a forwarded
packet there, or drops it (ip_forward() of a packet with a socket), until that socket is gone. What is meant for the
proxy gets its socket from tc. The kernel's Documentation/networking/ip-sysctl.rst advises the same for routers."""

MARK_MASK = 0xF0
"""The bits of a packet's mark that are ours: clear of those of kube-proxy, Calico and Cilium."""
MARK_TO_PROXY = 0x10
MARK_FROM_PROXY = 0x20
MARK_OWN_ANSWER = 0x30

_REPOSITORY = Path(__file__).resolve().parents[2]
_ROUTES_TIMEOUT_S = 20
_GET_ROUTE, _GET_RULE = 26, 34
_RULE_MARK, _RULE_TABLE, _RULE_MASK = 10, 15, 16
_ROUTE_TO, _ROUTE_TABLE, _ROUTE_MARK = 1, 15, 16
_LOOKUP_TABLE = 0x1000  # answer with the table that decided, not with `main`
_RTMSG = struct.Struct("=BBBBBBBBI")
"""struct rtmsg and struct fib_rule_hdr: family, two lengths, tos, table, ..., type, flags."""
_SOMEWHERE: dict[int, bytes] = {
    socket.AF_INET: IPv4Address("192.0.2.1").packed,
    socket.AF_INET6: IPv6Address("2001:db8::1").packed,
}


class LinkError(Exception):
    """Netlink or sysctl refused; the text names the object."""


def prepare(mark: int, mask: int) -> None:
    """Rules, local routes and sysctls. Idempotent, and quick where all is there."""
    if not prepared(mark, mask):
        _routes("prepare", mark, mask)
    for name, value in SYSCTLS.items():
        write_sysctl(name, value)


def restore(mark: int, mask: int) -> None:
    """Take rules and routes away again; sysctls stay, others may count on them by now."""
    _routes("restore", mark, mask)


def _routes(work: str, mark: int, mask: int) -> None:
    command = [sys.executable, "-m", "agent.datapath.routes", work, "--mark", str(mark), "--mask", str(mask)]
    try:
        done = subprocess.run(
            command, env=own_environment(), capture_output=True, text=True, timeout=_ROUTES_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LinkError(f"setting rules and routes took longer than {_ROUTES_TIMEOUT_S} s") from error
    if done.returncode:
        raise LinkError(f"rules and routes for redirected packets: {done.stderr.strip()}")


def own_environment() -> dict[str, str]:
    """For `python -m agent...` in a process of its own, wherever this one was started."""
    paths = [str(_REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def prepared(mark: int, mask: int) -> bool:
    """Are the rules of both families there, and does a packet with the mark come home, wherever it wants to go?"""
    try:
        with Rtnetlink() as link:
            return all(_ruled(link, family, mark, mask) and _at_home(link, family, mark) for family in FAMILIES)
    except Refused:
        return False
    except OSError as error:
        raise LinkError(f"netlink: {error}") from error


def _ruled(link: Rtnetlink, family: int, mark: int, mask: int) -> bool:
    wanted = {kind: struct.pack("=I", value) for kind, value in
              ((_RULE_MARK, mark), (_RULE_MASK, mask), (_RULE_TABLE, LOCAL_TABLE))}  # fmt: skip
    rules = link.dump(_GET_RULE, _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))
    return any(rule[0] == family and wanted.items() <= attributes(rule[_RTMSG.size :]).items() for rule in rules)


def _at_home(link: Rtnetlink, family: int, mark: int) -> bool:
    where = _SOMEWHERE[family]
    question = _RTMSG.pack(family, len(where) * 8, 0, 0, 0, 0, 0, 0, _LOOKUP_TABLE)
    answer = link.get(_GET_ROUTE, question + attribute(_ROUTE_TO, where) + number(_ROUTE_MARK, mark))
    table = attributes(answer[_RTMSG.size :]).get(_ROUTE_TABLE)
    return answer[7] == RTN_LOCAL and table == struct.pack("=I", LOCAL_TABLE)


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


def interface_indexes() -> list[int]:
    return [index for index, _ in socket.if_nameindex()]
