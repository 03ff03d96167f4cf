"""Layouts and constants shared with the kernel. GENERATED from bpf/lib/layouts.h; do not edit.

`python -m agent.datapath.layoutgen` writes this file; `--check` compares it. Fields of type __be16 and
__be32 are big-endian, so every number here reads and writes as a host value.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from typing import Any

_be16: Any = ctypes.c_uint16.__ctype_be__
_be32: Any = ctypes.c_uint32.__ctype_be__

LAYOUT_SHA256 = "ea848992a7de84b9a8fc162fac3741eb5110c00737142a457ec241bfc351f683"
"""Of the header this file was made from."""

IDENTITY_FIRST_PREFIX = 16777216
IDENTITY_ANY = 4294967295
IPCACHE_LOCAL = 1
ENDPOINT_HAS_V4 = 1
ENDPOINT_HAS_V6 = 2
POLICY_STEPS = 7
POLICY_LEVELS = 7
POLICY_NO_STEP = 4294967295
POLICY_DENY = 1
POLICY_ALLOW = 2
POLICY_HTTP_ALLOW = 4
POLICY_HTTP_DENY = 8
POLICY_DEFAULT = 16
POLICY_FINAL = 32
POLICY_MORE = 128
CT_PROXIED = 1
CT_SEEN_REPLY = 2
CT_FIN_FORWARD = 4
CT_FIN_REPLY = 8
CT_RESET = 16
CT_UPSTREAM = 32
ENDPOINT_NUMBERS = 65536
REDIRECT_EGRESS = 1
REDIRECT_INGRESS = 2
EVENT_REPLY_RESET = 1
CONFIG_PROXY_UP = 1
CONFIG_DROP_SILENTLY = 2


class Direction(IntEnum):
    """Directions are seen from the workload: egress leaves it, ingress enters it."""

    DIR_EGRESS = 0
    DIR_INGRESS = 1


class Identity(IntEnum):
    IDENTITY_UNKNOWN = 0
    IDENTITY_HOST = 1
    IDENTITY_WORLD = 2
    IDENTITY_REMOTE_NODE = 3
    IDENTITY_HEALTH = 4
    IDENTITY_KUBE_APISERVER = 5


class Verdict(IntEnum):
    VERDICT_ALLOW = 1
    VERDICT_DENY = 2
    VERDICT_REDIRECT = 3


class DropReason(IntEnum):
    """Why a packet went no further. 0 is "it did"."""

    DROP_NONE = 0
    DROP_POLICY_DENY = 1
    DROP_POLICY_DEFAULT = 2
    DROP_NO_POLICY = 3
    DROP_UNKNOWN_PEER = 4
    DROP_SPOOFED_SOURCE = 5
    DROP_MALFORMED = 6
    DROP_FRAGMENT_UNKNOWN = 7
    DROP_FRAGMENT_TINY = 8
    DROP_FRAGMENT_PROXIED = 9
    DROP_CT_FULL = 10
    DROP_CT_INVALID = 11
    DROP_PROXY_MISSING = 12
    DROP_PROXY_BYPASS = 13
    DROP_PROXY_PORT = 14
    DROP_SERVICE_UNTRANSLATED = 15
    DROP_SERVICE_NO_BACKEND = 16
    DROP_UNKNOWN_PROTOCOL = 17
    DROP_SPOOFED_FROM_NET = 18
    DROP_POLICY_CHANGED = 19
    DROP_NEEDS_PROXY_NOW = 20
    DROP_REDIRECT_FULL = 21
    DROP_AGENT_PORT = 22
    DROP_EXTENSION_HEADER = 23
    DROP_PROXY_DOWN = 24
    DROP_RESET_FAILED = 25
    DROP_CT_SHARE = 26
    DROP_REDIRECT_SHARE = 27
    DROP_REASON_COUNT = 28


class Gauge(IntEnum):
    """Index of the per-CPU array of single counters."""

    GAUGE_EVENTS_LOST = 0
    GAUGE_REDIRECTED = 1
    GAUGE_RESETS_SENT = 2
    GAUGE_ICMP_SENT = 3
    GAUGE_ICMP_SUPPRESSED = 4
    GAUGE_CT_CREATED = 5
    GAUGE_SERVICE_TRANSLATED = 6
    GAUGE_SERVICES_FORGOTTEN = 7
    GAUGE_COUNT = 8


DIR_EGRESS = 0
DIR_INGRESS = 1

IDENTITY_UNKNOWN = 0
IDENTITY_HOST = 1
IDENTITY_WORLD = 2
IDENTITY_REMOTE_NODE = 3
IDENTITY_HEALTH = 4
IDENTITY_KUBE_APISERVER = 5

VERDICT_ALLOW = 1
VERDICT_DENY = 2
VERDICT_REDIRECT = 3

DROP_NONE = 0
DROP_POLICY_DENY = 1
DROP_POLICY_DEFAULT = 2
DROP_NO_POLICY = 3
DROP_UNKNOWN_PEER = 4
DROP_SPOOFED_SOURCE = 5
DROP_MALFORMED = 6
DROP_FRAGMENT_UNKNOWN = 7
DROP_FRAGMENT_TINY = 8
DROP_FRAGMENT_PROXIED = 9
DROP_CT_FULL = 10
DROP_CT_INVALID = 11
DROP_PROXY_MISSING = 12
DROP_PROXY_BYPASS = 13
DROP_PROXY_PORT = 14
DROP_SERVICE_UNTRANSLATED = 15
DROP_SERVICE_NO_BACKEND = 16
DROP_UNKNOWN_PROTOCOL = 17
DROP_SPOOFED_FROM_NET = 18
DROP_POLICY_CHANGED = 19
DROP_NEEDS_PROXY_NOW = 20
DROP_REDIRECT_FULL = 21
DROP_AGENT_PORT = 22
DROP_EXTENSION_HEADER = 23
DROP_PROXY_DOWN = 24
DROP_RESET_FAILED = 25
DROP_CT_SHARE = 26
DROP_REDIRECT_SHARE = 27
DROP_REASON_COUNT = 28

GAUGE_EVENTS_LOST = 0
GAUGE_REDIRECTED = 1
GAUGE_RESETS_SENT = 2
GAUGE_ICMP_SENT = 3
GAUGE_ICMP_SUPPRESSED = 4
GAUGE_CT_CREATED = 5
GAUGE_SERVICE_TRANSLATED = 6
GAUGE_SERVICES_FORGOTTEN = 7
GAUGE_COUNT = 8


class IpcacheKey(ctypes.Structure):
    """The prefix length stands first because the kernel's LPM trie demands it."""

    _fields_ = [
        ("prefix_bits", ctypes.c_uint32),
        ("addr", ctypes.c_uint8 * 16),
    ]


class IpcacheEntry(ctypes.Structure):
    _fields_ = [
        ("identity", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("ifindex", ctypes.c_uint32),
    ]


class EndpointEntry(ctypes.Structure):
    """A pod's attachment. One write of this entry flips policy: set and epoch always change together."""

    _fields_ = [
        ("ifindex", ctypes.c_uint32),
        ("policy_set", ctypes.c_uint32),
        ("epoch", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("identity4", ctypes.c_uint32),
        ("identity6", ctypes.c_uint32),
        ("addr4", ctypes.c_uint8 * 16),
        ("addr6", ctypes.c_uint8 * 16),
        ("netns_cookie", ctypes.c_uint64),
    ]


class AddrKey(ctypes.Structure):
    """Addresses of this node -> endpoint; 0: the node's own, or those of a pod that is not enrolled."""

    _fields_ = [
        ("addr", ctypes.c_uint8 * 16),
    ]


class PolicyKey(ctypes.Structure):
    """What a set says of one peer in one direction is a chain: steps in the order of protocol and port, each of
    which holds until the next one begins. A port range costs two steps, however wide. A chain of up to
    POLICY_STEPS lies in one page, page 0, so that it is found by one exact lookup and written by one write; a
    longer one is a tree of pages, at most POLICY_LEVELS deep, which is enough for every port of every protocol
    that has ports. No page 0: nothing is said. Any other page that is missing: deny."""

    _fields_ = [
        ("set", ctypes.c_uint32),
        ("identity", ctypes.c_uint32),
        ("page", ctypes.c_uint16),
        ("direction", ctypes.c_uint8),
        ("pad", ctypes.c_uint8),
    ]


class PolicyPage(ctypes.Structure):
    """`begin` is protocol << 24 | port << 8 | flags, ascending, POLICY_NO_STEP behind the last one; numbers of
    this machine, so that a step is found by comparing. The first step of page 0 begins at 0. With POLICY_MORE,
    `rules` is the page that goes on from there. 56 bytes: one more step would cost each element of the hash half
    its size again."""

    _fields_ = [
        ("begin", ctypes.c_uint32 * 7),
        ("rules", ctypes.c_uint32 * 7),
    ]


class CtKey(ctypes.Structure):
    """Keyed by endpoint and direction besides the tuple: one flow between two pods of a node has two entries, and
    the client's leg and the proxy's transparently bound leg can have the same five numbers. The tuple is the one
    of the flow's first packet; answers are looked up with the ends exchanged and the direction turned. ICMP echo:
    sport is the identifier, dport 0."""

    _fields_ = [
        ("endpoint", ctypes.c_uint32),
        ("direction", ctypes.c_uint8),
        ("protocol", ctypes.c_uint8),
        ("sport", _be16),
        ("dport", _be16),
        ("pad", ctypes.c_uint16),
        ("saddr", ctypes.c_uint8 * 16),
        ("daddr", ctypes.c_uint8 * 16),
    ]


class CtEntry(ctypes.Structure):
    _fields_ = [
        ("created_ns", ctypes.c_uint64),
        ("expires_ns", ctypes.c_uint64),
        ("packets", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("epoch", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("peer_identity", ctypes.c_uint32),
        ("rules_peer", ctypes.c_uint32),
        ("rules_any", ctypes.c_uint32),
        ("service", ctypes.c_uint32),
    ]


class EndpointSpent(ctypes.Structure):
    _fields_ = [
        ("allows_ns", ctypes.c_uint64),
        ("denials_ns", ctypes.c_uint64),
        ("redirects_ns", ctypes.c_uint64),
        ("sockets_ns", ctypes.c_uint64),
        ("opened", ctypes.c_uint32),
        ("received", ctypes.c_uint32),
        ("unrecorded", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
    ]


class EndpointFreed(ctypes.Structure):
    """The same index; how many of those entries are gone again. Written by the agent alone, each time it has
    walked."""

    _fields_ = [
        ("opened", ctypes.c_uint32),
        ("received", ctypes.c_uint32),
    ]


class ServiceKey(ctypes.Structure):
    """Port 0 with protocol 0 stands for the address as a whole: it tells tc and the socket hooks that the address
    belongs to a service, whatever the port. Its entry has no backends, so an unknown port of a service is
    refused."""

    _fields_ = [
        ("addr", ctypes.c_uint8 * 16),
        ("port", _be16),
        ("protocol", ctypes.c_uint8),
        ("pad", ctypes.c_uint8),
    ]


class ServiceEntry(ctypes.Structure):
    """Backends stand at backend_base .. backend_base + backend_count - 1; one write of this entry moves to a new
    block."""

    _fields_ = [
        ("service", ctypes.c_uint32),
        ("backend_base", ctypes.c_uint32),
        ("backend_count", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    ]


class BackendEntry(ctypes.Structure):
    _fields_ = [
        ("addr", ctypes.c_uint8 * 16),
        ("port", _be16),
        ("pad", ctypes.c_uint16),
    ]


class SockrevKey(ctypes.Structure):
    """From a socket and the backend it talks to, back to the service that the application named."""

    _fields_ = [
        ("cookie", ctypes.c_uint64),
        ("addr", ctypes.c_uint8 * 16),
        ("port", _be16),
        ("protocol", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 5),
    ]


class SockrevEntry(ctypes.Structure):
    _fields_ = [
        ("addr", ctypes.c_uint8 * 16),
        ("port", _be16),
        ("pad", ctypes.c_uint16),
        ("service", ctypes.c_uint32),
    ]


class SvcflowKey(ctypes.Structure):
    """From a TCP connection that leaves a pod to the service that the application named; written when it
    connects."""

    _fields_ = [
        ("endpoint", ctypes.c_uint32),
        ("sport", _be16),
        ("dport", _be16),
        ("saddr", ctypes.c_uint8 * 16),
        ("daddr", ctypes.c_uint8 * 16),
    ]


class SvcflowEntry(ctypes.Structure):
    _fields_ = [
        ("service", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
    ]


class RedirectKey(ctypes.Structure):
    """As accept() shows it: the peer's address, then the local address (the destination after translation)."""

    _fields_ = [
        ("saddr", ctypes.c_uint8 * 16),
        ("daddr", ctypes.c_uint8 * 16),
        ("sport", _be16),
        ("dport", _be16),
    ]


class RedirectRecord(ctypes.Structure):
    """The proxy reads who is at both ends and which pods of this node enforce. Sets and epochs are for people:
    they say with `weft map dump redirect` under which policy the kernel handed the connection over. The proxy
    asks the one in force."""

    _fields_ = [
        ("time_ns", ctypes.c_uint64),
        ("src_identity", ctypes.c_uint32),
        ("dst_identity", ctypes.c_uint32),
        ("src_endpoint", ctypes.c_uint32),
        ("dst_endpoint", ctypes.c_uint32),
        ("src_set", ctypes.c_uint32),
        ("dst_set", ctypes.c_uint32),
        ("src_epoch", ctypes.c_uint32),
        ("dst_epoch", ctypes.c_uint32),
        ("service", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    ]


class FragKey(ctypes.Structure):
    _fields_ = [
        ("saddr", ctypes.c_uint8 * 16),
        ("daddr", ctypes.c_uint8 * 16),
        ("id", ctypes.c_uint32),
        ("protocol", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
    ]


class FragEntry(ctypes.Structure):
    """The ports of the first fragment, so that later ones are the same flow. Written only after an allow."""

    _fields_ = [
        ("expires_ns", ctypes.c_uint64),
        ("sport", _be16),
        ("dport", _be16),
        ("pad", ctypes.c_uint32),
    ]


class FlowEvent(ctypes.Structure):
    """One decision. Allowed flows give one when they begin, denied packets one each."""

    _fields_ = [
        ("time_ns", ctypes.c_uint64),
        ("endpoint", ctypes.c_uint32),
        ("peer_endpoint", ctypes.c_uint32),
        ("src_identity", ctypes.c_uint32),
        ("dst_identity", ctypes.c_uint32),
        ("policy_set", ctypes.c_uint32),
        ("rules_peer", ctypes.c_uint32),
        ("rules_any", ctypes.c_uint32),
        ("service", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("reason", ctypes.c_uint16),
        ("verdict", ctypes.c_uint8),
        ("direction", ctypes.c_uint8),
        ("protocol", ctypes.c_uint8),
        ("tcp_flags", ctypes.c_uint8),
        ("sport", _be16),
        ("dport", _be16),
        ("bytes", ctypes.c_uint16),
        ("saddr", ctypes.c_uint8 * 16),
        ("daddr", ctypes.c_uint8 * 16),
    ]


class Counter(ctypes.Structure):
    """Index of the per-CPU counter array: reason * 2 + direction (forwarded packets under DROP_NONE)."""

    _fields_ = [
        ("packets", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
    ]


class TokenBucket(ctypes.Structure):
    """Limits the ICMP answers of a node: one entry, index 0."""

    _fields_ = [
        ("time_ns", ctypes.c_uint64),
        ("tokens", ctypes.c_uint64),
    ]


class NodeConfig(ctypes.Structure):
    """One entry, index 0. Marks live inside mark_mask, clear of kube-proxy's, Calico's and Cilium's bits."""

    _fields_ = [
        ("flags", ctypes.c_uint32),
        ("mark_mask", ctypes.c_uint32),
        ("mark_to_proxy", ctypes.c_uint32),
        ("mark_from_proxy", ctypes.c_uint32),
        ("mark_own_answer", ctypes.c_uint32),
        ("proxy_port", _be16),
        ("agent_port", _be16),
        ("icmp_per_second", ctypes.c_uint32),
        ("tcp_established_s", ctypes.c_uint32),
        ("tcp_opening_s", ctypes.c_uint32),
        ("tcp_closing_s", ctypes.c_uint32),
        ("udp_s", ctypes.c_uint32),
        ("icmp_s", ctypes.c_uint32),
        ("flows_per_pod", ctypes.c_uint32),
    ]


class FastPath(ctypes.Structure):
    """One entry, index 0. Until this moment packets of known direct flows may pass by the node's IP stack. The
    agent writes it anew every few seconds while it finds nothing there that such a packet would miss (netfilter,
    routing rules, ...): an agent that is gone cannot vouch for that, so its word runs out."""

    _fields_ = [
        ("until_ns", ctypes.c_uint64),
        ("uplinks", ctypes.c_uint32 * 4),
    ]


class VethEntry(ctypes.Structure):
    """By ifindex: the veths whose other end is in a pod's namespace, so that a packet can be put into that end."""

    _fields_ = [
        ("pod_mac", ctypes.c_uint8 * 6),
        ("node_mac", ctypes.c_uint8 * 6),
    ]


class DatapathMeta(ctypes.Structure):
    """One entry, index 0: which unit and which layouts the pinned programs were made from."""

    _fields_ = [
        ("unit_sha256", ctypes.c_uint8 * 32),
        ("layout_sha256", ctypes.c_uint8 * 32),
    ]


class MapMeta(ctypes.Structure):
    """One entry per map: the hash of its key's and value's fields, so that a changed layout moves only what it
    must."""

    _fields_ = [
        ("name", ctypes.c_uint8 * 16),
        ("fields_sha256", ctypes.c_uint8 * 32),
    ]


STRUCTS: dict[str, type[ctypes.Structure]] = {
    "ipcache_key": IpcacheKey,
    "ipcache_entry": IpcacheEntry,
    "endpoint_entry": EndpointEntry,
    "addr_key": AddrKey,
    "policy_key": PolicyKey,
    "policy_page": PolicyPage,
    "ct_key": CtKey,
    "ct_entry": CtEntry,
    "endpoint_spent": EndpointSpent,
    "endpoint_freed": EndpointFreed,
    "service_key": ServiceKey,
    "service_entry": ServiceEntry,
    "backend_entry": BackendEntry,
    "sockrev_key": SockrevKey,
    "sockrev_entry": SockrevEntry,
    "svcflow_key": SvcflowKey,
    "svcflow_entry": SvcflowEntry,
    "redirect_key": RedirectKey,
    "redirect_record": RedirectRecord,
    "frag_key": FragKey,
    "frag_entry": FragEntry,
    "flow_event": FlowEvent,
    "counter": Counter,
    "token_bucket": TokenBucket,
    "node_config": NodeConfig,
    "fast_path": FastPath,
    "veth_entry": VethEntry,
    "datapath_meta": DatapathMeta,
    "map_meta": MapMeta,
}
"""By the name in C."""
