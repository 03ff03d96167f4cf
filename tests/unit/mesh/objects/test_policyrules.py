"""Peers and ports, as both kinds of policy write them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from mesh.model import Direction, Protocol
from mesh.objects.errors import Problem
from mesh.objects.policyrules import IpBlock, PolicyPort, read_peers, read_policy_types, read_ports, read_selecting_peer
from mesh.objects.reader import Reader, Report


def reading(fields: dict[str, Any]) -> tuple[Reader, list[Problem]]:
    report = Report("", "")
    return Reader(fields, (), report), report.problems


def texts(problems: list[Problem]) -> list[str]:
    return [f"{problem.field}: {problem.reason}" for problem in problems]


def test_missing_and_empty_peers_mean_anyone() -> None:
    written: list[dict[str, Any]] = [{}, {"from": None}, {"from": []}]
    for fields in written:
        reader, problems = reading(fields)
        assert read_peers(reader, "from", read_selecting_peer) is None
        assert problems == []


def test_a_block_with_exceptions() -> None:
    reader, problems = reading({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}})
    assert read_selecting_peer(reader).block == IpBlock(
        cidr=ip_network("10.0.0.0/8"), excepts=(ip_network("10.1.0.0/16"),)
    )
    assert problems == []


def test_bits_behind_the_prefix_are_cut_off_as_in_kubernetes() -> None:
    reader, problems = reading({"ipBlock": {"cidr": "10.0.0.5/8", "except": ["10.1.2.3/16"]}})
    assert read_selecting_peer(reader).block == IpBlock(
        cidr=ip_network("10.0.0.0/8"), excepts=(ip_network("10.1.0.0/16"),)
    )
    assert problems == []


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (
            {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]},
            "ipBlock.except[0]: 11.0.0.0/16 does not lie inside 10.0.0.0/8",
        ),
        ({"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}, "ipBlock.except[0]: 10.0.0.0/8 does not lie inside"),
        ({"cidr": "10.0.0.0/8", "except": ["fd00::/8"]}, "ipBlock.except[0]: fd00::/8 does not lie inside"),
        ({"cidr": "::ffff:0:0/96"}, "ipBlock.cidr: '::ffff:0:0/96' is IPv4 in IPv6 spelling"),
        ({"cidr": "300.0.0.0/8"}, "ipBlock.cidr: '300.0.0.0/8' is not a CIDR"),
        ({}, "ipBlock.cidr: is missing"),
        ({"cidr": "10.0.0.0/8", "excepts": []}, "ipBlock.excepts: unknown field; did you mean 'except'?"),
    ],
)
def test_bad_blocks_are_refused(block: dict[str, Any], problem: str) -> None:
    reader, problems = reading({"ipBlock": block})
    read_selecting_peer(reader)
    assert any(text.startswith(problem) for text in texts(problems)), texts(problems)


def test_a_block_stands_alone() -> None:
    reader, problems = reading({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}})
    read_selecting_peer(reader)
    assert texts(problems) == ["ipBlock: stands alone: it cannot be combined with selectors"]


def test_ports() -> None:
    reader, problems = reading(
        {
            "ports": [
                {},
                {"port": 80},
                {"port": "http", "protocol": "UDP"},
                {"port": 80, "endPort": 90},
                {"protocol": "SCTP"},
            ]
        }
    )
    assert read_ports(reader) == (
        PolicyPort(),
        PolicyPort(port=80),
        PolicyPort(port="http", protocol=Protocol.UDP),
        PolicyPort(port=80, end_port=90),
        PolicyPort(protocol=Protocol.SCTP),
    )
    assert problems == []


@pytest.mark.parametrize(
    ("port", "problem"),
    [
        ({"port": 70000}, "ports[0].port: 70000 is not within 1 to 65535"),
        ({"port": 0}, "ports[0].port: 0 is not within"),
        ({"port": "80"}, "ports[0].port: '80' is text; write the number without quotes"),
        ({"port": "HTTP"}, "ports[0].port: 'HTTP' is not a port name"),
        ({"port": 1.5}, "ports[0].port: expected a whole number"),
        ({"port": 90, "endPort": 80}, "ports[0].endPort: 80 is below port 90"),
        ({"port": "http", "endPort": 80}, "ports[0].endPort: needs a numeric port"),
        ({"endPort": 80}, "ports[0].endPort: needs a numeric port"),
        ({"protocol": "HTTP"}, "ports[0].protocol: 'HTTP' is none of TCP, UDP, SCTP"),
        ({"prot": "TCP"}, "ports[0].prot: unknown field"),
    ],
)
def test_bad_ports_are_refused(port: dict[str, Any], problem: str) -> None:
    reader, problems = reading({"ports": [port]})
    read_ports(reader)
    assert any(text.startswith(problem) for text in texts(problems)), texts(problems)


def test_policy_types() -> None:
    for fields, types in (({}, None), ({"policyTypes": ["Egress", "Egress"]}, (Direction.EGRESS,))):
        assert read_policy_types(reading(fields)[0]) == types
    reader, problems = reading({"policyTypes": ["ingress"]})
    read_policy_types(reader)
    assert texts(problems) == ["policyTypes[0]: 'ingress' is not Ingress or Egress"]
