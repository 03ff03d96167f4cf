"""Kubernetes' syntax rules."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest

from mesh.objects import names

Check = Callable[[str], str | None]


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.dns_label, ["a", "a-1", "0", "x" * 63], ["", "A", "-a", "a-", "a.b", "x" * 64, "a_b", "a\n"]),
        (names.dns_subdomain, ["a.b", "a-b.c", "x" * 63 + ".y"], ["", "a..b", ".a", "A.b", "a." + "x" * 252]),
        (names.label_key, ["app", "App_1.x", "weft.dev/mesh", "x" * 63], ["", "/a", "a/", "A/b", "a/b/c", "x" * 64]),
        (names.label_value, ["", "v1.2_3-x", "x" * 63], ["-a", "a-", "a b", "x" * 64, "a/b"]),
        (names.port_name, ["http", "a-1", "serve-80-tcp"], ["", "80", "a--b", "-a", "HTTP", "x" * 16]),
        (names.environment_name, ["A_B", "a.b", "_x"], ["", "1A", "a b", "A=B"]),
        (names.qualified_account, ["shop/checkout"], ["checkout", "Shop/x", "shop/", "/x", "a/b/c"]),
        (names.trust_domain, ["cluster.local", "td_1"], ["", "TD", "a/b", "x" * 256]),
        (names.http_method, ["GET", "M-SEARCH"], ["get", "GTE", "", "G T"]),
        (names.header_name, ["x-env", "X_1"], ["", "a b", ":path", "a:", "ä"]),
        (names.host_name, ["payments.shop", "10.0.0.1", "[fd00::1]", "Shop"], ["a:80", "*.shop", "a/b", ""]),
        (names.ip, ["10.0.0.1", "fd00::1"], ["10.0.0", "010.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "10.0.0.1/8"]),
        (
            names.cidr,
            ["10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "10.0.0.1/32"],
            ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/-1", "x/8", "fd00::/129", "/8"],
        ),
    ],
)
def test_syntax(check: Check, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if check(text) is not None] == []
    assert [text for text in bad if check(text) is None] == []


def test_reasons_help() -> None:
    assert "10.0.0.0/8" in str(names.cidr("10.0.0.1/8"))
    assert "without a port" in str(names.host_name("payments:80"))
    assert "not supported yet" in str(names.host_name("*.shop"))
    assert "write GET" in str(names.http_method("get"))
    assert len(str(names.dns_label("x" * 10_000))) < 300


def test_values() -> None:
    assert names.address("10.0.0.1") == ip_address("10.0.0.1")
    assert names.address("nonsense") is None
    assert names.prefix("10.0.0.0/8") == ip_network("10.0.0.0/8")
    assert names.prefix("10.0.0.1/8") == ip_network("10.0.0.0/8"), "bits behind the length are cut off"
    assert names.prefix("10.0.0.0/33") is None


def test_ipv4_in_ipv6_spelling_is_refused_by_name() -> None:
    assert "write it as IPv4" in str(names.cidr("::ffff:10.0.0.0/104"))
    assert "write it as IPv4" in str(names.ip("::ffff:10.0.0.1"))
    assert names.cidr("::/0") is None
