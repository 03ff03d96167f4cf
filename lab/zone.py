"""The cluster's DNS zone as one document: built by the supervisor from objects, answered from by `lab.dns`. Pure.

Names follow the Kubernetes DNS specification 1.1.0: SERVICE.NS.svc.cluster.local, HOSTNAME.SERVICE.NS.svc for
headless Services, A-B-C-D.NS.pod for pods, PTR for all of them, SRV for named ports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from lab.podspec import Document, given_addresses

DOMAIN = "cluster.local"


def build(services: Iterable[Document], slices: Iterable[Document], pods: Iterable[Document]) -> dict[str, Any]:
    """`{"addresses": {name: [ip]}, "srv": {name: [[port, target]]}, "names": [..], "ptr": {ip: name}}`."""
    zone = _Zone()
    members: dict[str, list[Document]] = {}
    for document in slices:
        metadata = document["metadata"]
        service = (metadata.get("labels") or {}).get("kubernetes.io/service-name", "")
        members.setdefault(f"{metadata.get('namespace', 'default')}/{service}", []).append(document)
    for service in services:
        metadata, spec = service["metadata"], service.get("spec") or {}
        namespace = metadata.get("namespace", "default")
        name = f"{metadata['name']}.{namespace}.svc.{DOMAIN}"
        cluster_ips = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip and ip != "None"]
        zone.exists(name)
        if cluster_ips:
            zone.add(name, cluster_ips)
            for port in spec.get("ports") or ():
                zone.add_srv(name, port.get("name", ""), port.get("protocol", "TCP"), port["port"], name)
        else:
            publish_all = bool(spec.get("publishNotReadyAddresses"))
            _headless(zone, name, members.get(f"{namespace}/{metadata['name']}", []), publish_all=publish_all)
    for pod in pods:
        namespace = pod["metadata"].get("namespace", "default")
        zone.exists(f"{namespace}.svc.{DOMAIN}")
        for address in given_addresses(pod):
            zone.add(f"{_dashed(str(address))}.{namespace}.pod.{DOMAIN}", [str(address)], reverse=False)
    return zone.document()


def _headless(zone: _Zone, name: str, slices: Iterable[Document], *, publish_all: bool) -> None:
    for document in slices:
        for endpoint in document.get("endpoints") or ():
            if not publish_all and not (endpoint.get("conditions") or {}).get("ready", True):
                continue
            addresses = endpoint.get("addresses") or []
            zone.add(name, addresses, reverse=False)
            for address in addresses:
                host = f"{endpoint.get('hostname') or _dashed(address)}.{name}"
                zone.add(host, [address])
                for port in document.get("ports") or ():
                    zone.add_srv(name, port.get("name", ""), port.get("protocol", "TCP"), port["port"], host)


def _dashed(address: str) -> str:
    return ip_address(address).compressed.replace(".", "-").replace(":", "-").strip("-") or "0"


class _Zone:
    def __init__(self) -> None:
        self._addresses: dict[str, list[str]] = {}
        self._srv: dict[str, list[tuple[int, str]]] = {}
        self._ptr: dict[str, str] = {}
        self._names: set[str] = {DOMAIN, f"svc.{DOMAIN}", f"pod.{DOMAIN}"}

    def exists(self, name: str) -> None:
        """The name and all above it exist (an empty answer, not NXDOMAIN)."""
        while name.endswith(DOMAIN) and name not in self._names:
            self._names.add(name)
            name = name.partition(".")[2]

    def add(self, name: str, addresses: Iterable[str], *, reverse: bool = True) -> None:
        self.exists(name)
        held = self._addresses.setdefault(name, [])
        for address in addresses:
            if address not in held:
                held.append(address)
            if reverse:
                self._ptr.setdefault(ip_address(address).reverse_pointer, name)

    def add_srv(self, name: str, port_name: str, protocol: str, port: int, target: str) -> None:
        if port_name:
            label = f"_{port_name}._{protocol.lower()}.{name}"
            self.exists(label)
            self._srv.setdefault(label, []).append((port, target))

    def document(self) -> dict[str, Any]:
        return {
            "addresses": dict(sorted(self._addresses.items())),
            "srv": {name: [list(entry) for entry in sorted(set(held))] for name, held in sorted(self._srv.items())},
            "ptr": dict(sorted(self._ptr.items())),
            "names": sorted(self._names),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the zone says to one question."""

    code: str
    """NOERROR, NXDOMAIN or REFUSED."""
    records: tuple[tuple[str, str], ...] = ()
    """(type, value); SRV values are `PORT TARGET`."""


def answer(zone: dict[str, Any], name: str, kind: str) -> Answer:
    """The answer for `name` (any case, with or without the last dot) and a record type's name."""
    name = name.rstrip(".").lower()
    if name.endswith((".in-addr.arpa", ".ip6.arpa")):
        target = zone["ptr"].get(name)
        if target is None:
            return Answer(code="NXDOMAIN")
        return Answer(code="NOERROR", records=(("PTR", target),) if kind in ("PTR", "ANY") else ())
    if name != DOMAIN and not name.endswith("." + DOMAIN):
        return Answer(code="REFUSED")
    if name not in zone["names"]:
        return Answer(code="NXDOMAIN")
    records = []
    for address in zone["addresses"].get(name, ()):
        family = "A" if ip_address(address).version == 4 else "AAAA"
        if kind in (family, "ANY"):
            records.append((family, address))
    if kind in ("SRV", "ANY"):
        records += [("SRV", f"{port} {target}") for port, target in zone["srv"].get(name, ())]
    return Answer(code="NOERROR", records=tuple(records))
