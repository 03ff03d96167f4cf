"""The programs by name: where each hangs. One list for loading, attaching, checking and removing."""

from __future__ import annotations

from pathlib import Path

TC_PROGRAMS = ("tc_from_pod", "tc_to_pod", "tc_from_net", "tc_from_guest")

CGROUP_PROGRAMS: dict[str, int] = {
    "sock_connect4": 10,
    "sock_connect6": 11,
    "sock_sendmsg4": 14,
    "sock_sendmsg6": 15,
    "sock_recvmsg4": 19,
    "sock_recvmsg6": 20,
    "sock_getpeer4": 29,
    "sock_getpeer6": 30,
    "sock_ops": 3,
}
"""Program -> enum bpf_attach_type (linux/bpf.h)."""

SOCK_OPS = "sock_ops"
SK_LOOKUP = "sk_lookup"
NETNS_PROGRAMS: dict[str, int] = {SK_LOOKUP: 36}
"""Program -> enum bpf_attach_type, of those that hang on the node's network namespace."""

ALL_PROGRAMS = (*TC_PROGRAMS, *CGROUP_PROGRAMS, *NETNS_PROGRAMS)


def pin_folder(bpffs: str, instance: str) -> Path:
    """Everything of one instance stands below; removing the folder removes the instance from the kernel."""
    return Path(bpffs) / "weft" / instance
