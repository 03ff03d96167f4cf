"""Routing for redirected packets (for real: tests/bpf/smoke.py); here what needs no root."""

from __future__ import annotations

import threading

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from agent.datapath import links


def test_netlink_runs_in_a_thread_without_an_event_loop() -> None:
    seen = links.with_iproute(lambda _route: threading.current_thread().name)
    assert seen == "netlink"


def test_a_refusal_of_the_kernel_is_ours_to_tell() -> None:
    def refuse(_route: object) -> None:
        raise NetlinkError(1, "Operation not permitted")

    with pytest.raises(links.LinkError, match="not permitted"):
        links.with_iproute(refuse)


def test_other_errors_are_not_swallowed() -> None:
    def fail(_route: object) -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        links.with_iproute(fail)


def test_interfaces_that_are_gone_are_named() -> None:
    with pytest.raises(links.LinkError, match="never-was"):
        links.interface_index("never-was")
    with pytest.raises(links.LinkError, match="999999"):
        links.interface_name(999_999)
    assert links.interface_name(1) == "lo"


def test_a_sysctl_that_does_not_exist_is_no_fault() -> None:
    links.write_sysctl("net/ipv9/forwarding", "1")
