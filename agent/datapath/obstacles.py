"""What a packet that passes by the node's IP stack would miss there: then the fast path must stay closed.

The fast path (bpf/lib/fastpath.h) knows the main routing table, neighbours and MTUs. Everything else that may decide
about a forwarded packet is looked for here, in the caller's network namespace: netfilter, IPVS, IPsec, routing rules,
local routes for addresses that are not the node's, and queues on a pod's interface. What cannot be told is there.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from agent.datapath import libbpf
from agent.datapath.links import FAMILIES, LOCAL_TABLE, RTN_LOCAL, interface_name
from agent.datapath.rtnetlink import Refused, Rtnetlink, attributes

PROC = Path("/proc/thread-self/net")
_SYSCTL = Path("/proc/sys/net")
_MODULES = Path("/proc/modules")

_NETFILTER, _XFRM = 12, 6
_GET_CHAIN = 10 << 8 | 4  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN
_NFGENMSG = struct.Struct(">BBH")
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _HOOK_NUMBER = 1, 3, 4, 1
_NFT_FAMILIES = {1: "inet", 2: "ip", 5: "netdev", 10: "ip6"}
"""Those whose packets are forwarded ones; ARP and bridges have others."""
_HOOKS = {0: "prerouting", 1: "input", 2: "forward", 3: "output", 4: "postrouting", 5: "ingress"}
_OWN_TRAFFIC = (1, 3)
"""Hooks of what the node itself receives and sends."""

_GET_SPD_INFO, _SPD_INFO = 0x25, 1
_GET_LINK, _GET_ROUTE, _GET_RULE = 18, 26, 34
_IFINFOMSG = struct.Struct("=BxHiII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_QDISC = 6
_NO_QUEUE = ("", "noop", "noqueue")
"""noop: of an interface that is down."""
_RULE_PRIORITY, _RULE_SUPPRESS_LENGTH, _TABLE = 6, 14, 15
_RULE_HARMLESS = {_RULE_PRIORITY, _RULE_SUPPRESS_LENGTH, _TABLE, 18, 21}
"""Also padding, and who made the rule."""
_TO_TABLE = 1
_MAIN_TABLES = (255, 254, 253)
_DESTINATION = 1
_LINK_NETFILTER = 10


def find(pods: Sequence[int]) -> list[str]:
    """Each as a few words; `pods` are the interfaces of enrolled pods. Empty: the fast path may be open."""
    asked: dict[str, Callable[[], list[str]]] = {
        "whether packets are forwarded": _forwarding,
        "nftables": _nftables,
        "iptables": _iptables,
        "netfilter programs": _netfilter_programs,
        "IPVS": _ipvs,
        "IPsec policies": _ipsec,
        "routing rules": _rules,
        "local routes": _local_routes,
        "queues of pods": lambda: _queues(pods),
    }
    found: list[str] = []
    for what, ask in asked.items():
        try:
            found += ask()
        except (Refused, OSError) as error:
            found.append(f"cannot tell about {what}: {error}")
    return found


def _forwarding() -> list[str]:
    names = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
    return [f"net/{name} is 0" for name in names if _text(_SYSCTL / name).strip() == "0"]


def _nftables() -> list[str]:
    try:
        with Rtnetlink(_NETFILTER) as link:
            chains = link.dump(_GET_CHAIN, _NFGENMSG.pack(0, 0, 0))
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return []
        raise
    except Refused as error:
        if error.errno == errno.EINVAL and "nf_tables " not in _text(_MODULES):
            return []  # a kernel without it
        raise
    return [text for text in map(chain, chains) if text]


def chain(body: bytes) -> str:
    """One chain of nftables: empty where no forwarded packet meets it."""
    family, told = body[0], attributes(body[_NFGENMSG.size :])
    hook = attributes(told.get(_CHAIN_HOOK, b"")).get(_HOOK_NUMBER)
    if family not in _NFT_FAMILIES or hook is None:
        return ""
    (number,) = struct.unpack(">I", hook)
    if _NFT_FAMILIES[family] == "netdev":
        number = 5
    elif number in _OWN_TRAFFIC:
        return ""
    names = "/".join(told.get(one, b"?").rstrip(b"\0").decode(errors="replace") for one in (_CHAIN_TABLE, _CHAIN_NAME))
    return f"nftables chain {_NFT_FAMILIES[family]} {names} ({_HOOKS.get(number, number)})"


def _iptables() -> list[str]:
    """Tables in use here; a table comes into being when a program first asks for it, and stays."""
    return [
        f"{program} table {name}"
        for program, file in (("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names"))
        for name in _text(PROC / file).split()
    ]


def _netfilter_programs() -> list[str]:
    """BPF programs on netfilter's hooks (kernel 6.4 and up). A link does not say of which namespace it is."""
    return ["a BPF program on a netfilter hook"] if _LINK_NETFILTER in libbpf.link_types() else []


def _ipvs() -> list[str]:
    """The first three lines are the table's head."""
    return ["IPVS services"] if len(_text(PROC / "ip_vs").splitlines()) > 3 else []


def _ipsec() -> list[str]:
    try:
        with Rtnetlink(_XFRM) as link:
            body = link.get(_GET_SPD_INFO, bytes(4))
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return []
        raise
    _, outgoing, forwarded = struct.unpack_from("=III", attributes(body[4:])[_SPD_INFO])
    return ["IPsec policies"] if outgoing or forwarded else []


def _rules() -> list[str]:
    found: list[str] = []
    with Rtnetlink() as link:
        for family in FAMILIES:
            rows = link.dump(_GET_RULE, _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))
            found += [text for text in map(rule, rows) if text]
    return found


def rule(body: bytes) -> str:
    """One routing rule: empty for the kernel's own three, and for the one that brings packets to the proxy."""
    _, to_bits, from_bits, tos, _, _, _, action, flags = _RTMSG.unpack_from(body)
    told = attributes(body[_RTMSG.size :])
    table, priority = (_number(told.get(one, b"")) for one in (_TABLE, _RULE_PRIORITY))
    if table == LOCAL_TABLE:
        return ""
    plain = not (to_bits or from_bits or tos or flags) and action == _TO_TABLE and told.keys() <= _RULE_HARMLESS
    suppressing = told.get(_RULE_SUPPRESS_LENGTH, b"\xff" * 4) != b"\xff" * 4
    return "" if plain and table in _MAIN_TABLES and not suppressing else f"routing rule {priority} (table {table})"


def _local_routes() -> list[str]:
    """More in the local table than the node's own addresses: the fast path would not see that these end here."""
    assigned = {line.split()[0] for line in _text(PROC / "if_inet6").splitlines()}
    with Rtnetlink() as link:
        link.be_strict()
        rows = link.dump(_GET_ROUTE, _RTMSG.pack(0, 0, 0, 0, _MAIN_TABLES[0], 0, 0, 0, 0))
    return [text for text in (local_route(row, assigned) for row in rows) if text]


def local_route(body: bytes, assigned: Iterable[str]) -> str:
    """One route: empty where it is no local one, or is that of an address that the node has."""
    family, bits, _, _, _, _, _, kind, _ = _RTMSG.unpack_from(body)
    told = attributes(body[_RTMSG.size :])
    if _number(told.get(_TABLE, b"")) != _MAIN_TABLES[0] or kind != RTN_LOCAL:
        return ""
    address = told.get(_DESTINATION, b"")
    if family == socket.AF_INET and (bits == 32 or address[:1] == b"\x7f"):
        return ""
    if family == socket.AF_INET6 and bits == 128 and address.hex() in assigned:
        return ""
    where = socket.inet_ntop(family, address) if address else "default"
    return f"local route to {where}/{bits}"


def _queues(pods: Sequence[int]) -> list[str]:
    """Limits of a pod's bandwidth, say: they hang where the fast path does not come by."""
    with Rtnetlink() as link:
        rows = link.dump(_GET_LINK, _IFINFOMSG.pack(0, 0, 0, 0, 0))
    found: list[str] = []
    for row in rows:
        ifindex = _IFINFOMSG.unpack_from(row)[2]
        qdisc = attributes(row[_IFINFOMSG.size :]).get(_QDISC, b"").rstrip(b"\0").decode(errors="replace")
        if ifindex in pods and qdisc not in _NO_QUEUE:
            found.append(f"queue {qdisc} on {interface_name(ifindex)}")
    return found


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _text(path: Path) -> str:
    """Empty where there is no such thing in this kernel."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ""
