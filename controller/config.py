"""The controller's settings, from its command line, checked before anything starts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

from mesh.journal import LEVELS
from mesh.model import Address, Prefix

DEFAULT_SERVICE_CIDRS = ("10.96.0.0/16", "fd00:10:96::/112")


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and port to listen on; port 0 asks the kernel for a free one (tests)."""

    host: Address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if isinstance(self.host, IPv6Address) else f"{self.host}:{self.port}"

    def next(self) -> Listen:
        """The port above, where nodes join."""
        return Listen(self.host, self.port + 1 if self.port else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerConfig:
    state: Path
    """Holds the store and the CA's key; readable for its owner alone."""
    listen: Listen
    """Mutual TLS for agents; the port above takes joins."""
    admin_socket: Path
    source: Path | None = None
    """A directory of manifests to follow."""
    service_cidrs: tuple[Prefix, ...] = tuple(ip_network(text) for text in DEFAULT_SERVICE_CIDRS)
    """Where Services get their addresses: at most one per family."""
    metrics: Listen | None = None
    log_level: str = "info"
    trust_domain: str = "cluster.local"
    """Of the identities of controller and nodes; fixed when the CA is made."""
    node_certificate_s: int = 24 * 3600
    enrol_all: bool = True
    """Every pod is enforced that is not labelled otherwise; without it only those that are labelled `enabled`."""


def parse(arguments: Sequence[str]) -> ControllerConfig:
    """Read the command line; like every argparse program, ends the process with status 2 on a mistake."""
    parser = argparse.ArgumentParser(prog="python -m controller", description="weft's controller")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="store and CA key live here")
    parser.add_argument("--listen", type=_listen, required=True, metavar="HOST:PORT", help="for agents; PORT+1: joins")
    parser.add_argument("--admin-socket", type=Path, required=True, metavar="PATH")
    parser.add_argument("--source", type=_source, metavar="dir:PATH", help="follow a directory of manifests")
    parser.add_argument("--service-cidr", type=_cidr, action="append", metavar="CIDR", help="one per family")
    parser.add_argument("--metrics", type=_listen, metavar="HOST:PORT")
    parser.add_argument("--log-level", choices=LEVELS, default="info")
    parser.add_argument("--trust-domain", default="cluster.local", help="used when the CA is made")
    parser.add_argument("--enrol", choices=("all", "labelled"), default="all", help="which pods are enforced")
    given = parser.parse_args(arguments)
    cidrs = tuple(given.service_cidr or (ip_network(text) for text in DEFAULT_SERVICE_CIDRS))
    if len({cidr.version for cidr in cidrs}) != len(cidrs):
        parser.error("argument --service-cidr: at most one IPv4 and one IPv6 range")
    return ControllerConfig(
        state=given.state,
        listen=given.listen,
        admin_socket=given.admin_socket,
        source=given.source,
        service_cidrs=cidrs,
        metrics=given.metrics,
        log_level=given.log_level,
        trust_domain=given.trust_domain,
        enrol_all=given.enrol == "all",
    )


def _listen(text: str) -> Listen:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65534:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form HOST:PORT with a port up to 65534")
    try:
        return Listen(ip_address(host.strip("[]")), int(port))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{host!r} is not an IP address") from None


def _source(text: str) -> Path:
    kind, _, path = text.partition(":")
    if kind != "dir" or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form dir:PATH")
    return Path(path)


def _cidr(text: str) -> Prefix:
    try:
        cidr = ip_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if cidr.num_addresses < 4:
        raise argparse.ArgumentTypeError(f"{text} has no room for Services")
    return cidr
