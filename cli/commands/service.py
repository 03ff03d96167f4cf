"""`weft service list`: services with the backends behind them, as the nodes are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.columns import service_ports
from cli.document import Json, dig, rows, text, texts
from cli.formats import View
from cli.grid import Column
from cli.listing import Listing, listing_options, run
from cli.target import Target
from cli.words import examples

if TYPE_CHECKING:
    from cli.client import Admin

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


def backends(pieces: list[Json]) -> list[Json]:
    """One row for each ready address of a service's EndpointSlices."""
    found: list[Json] = []
    for piece in pieces:
        ports = [
            {"port": dig(entry, "port"), "protocol": text(entry, "protocol", default="TCP")}
            for entry in rows(piece, "ports")
        ]
        for entry in rows(piece, "endpoints"):
            if text(entry, "conditions", "ready", default="true") != "true":
                continue
            pod = text(entry, "targetRef", "name")
            namespace = text(piece, "metadata", "namespace")
            more: Json = {
                "ports": ports,
                "pod": f"{namespace}/{pod}" if pod else "",
                "node": text(entry, "nodeName"),
            }
            found += [{"ip": address, **more} for address in texts(entry, "addresses")]
    return found


def combine(services: list[Json], slices: list[Json]) -> list[Json]:
    """Services with their backends, by namespace and name."""
    behind: dict[tuple[str, str], list[Json]] = {}
    for piece in slices:
        owner = (text(piece, "metadata", "namespace"), text(piece, "metadata", "labels", SERVICE_NAME_LABEL))
        behind.setdefault(owner, []).append(piece)
    combined: list[Json] = []
    for service in services:
        namespace, name = text(service, "metadata", "namespace"), text(service, "metadata", "name")
        single = text(service, "spec", "clusterIP")
        combined.append(
            {
                "namespace": namespace,
                "name": name,
                "type": text(service, "spec", "type", default="ClusterIP"),
                "clusterIPs": texts(service, "spec", "clusterIPs") or ([single] if single else []),
                "ports": rows(service, "spec", "ports"),
                "backends": backends(behind.get((namespace, name), [])),
            }
        )
    return combined


def _pods(row: Json) -> str:
    names = dict.fromkeys(text(entry, "pod") or text(entry, "ip") for entry in rows(row, "backends"))
    return ",".join(name.partition("/")[2] or name for name in names)


VIEW = View(
    columns=(
        Column(header="NAMESPACE", value=lambda row: text(row, "namespace")),
        Column(header="NAME", value=lambda row: text(row, "name")),
        Column(header="CLUSTER-IP", value=lambda row: (texts(row, "clusterIPs") or [""])[0]),
        Column(header="PORTS", value=lambda row: service_ports({"spec": {"ports": rows(row, "ports")}}), shrink=True),
        Column(header="BACKENDS", value=_pods, shrink=True),
        Column(header="CLUSTER-IPS", value=lambda row: ",".join(texts(row, "clusterIPs")), wide=True),
        Column(
            header="ADDRESSES",
            wide=True,
            value=lambda row: ",".join(text(entry, "ip") for entry in rows(row, "backends")),
        ),
    ),
    name=lambda row: f"{text(row, 'namespace')}/{text(row, 'name')}",
    empty="no services",
)


@click.group(name="service", epilog=examples("weft service list", "weft service list -n shop -o wide"))
def command() -> None:
    """Services and their backends."""


@command.command(name="list", epilog=examples("weft service list -n shop", "weft service list -o json"))
@listing_options
@click.pass_obj
def listed(target: Target, *, listing: Listing) -> None:
    """Services with the backends that are ready."""
    from cli.client import Admin

    with Admin(target) as admin:
        run(listing, VIEW, lambda: _fetch(admin, listing))


def _fetch(admin: Admin, listing: Listing) -> list[Json]:
    namespace = listing.namespace or ""
    return combine(admin.get("Service", namespace=namespace), admin.get("EndpointSlice", namespace=namespace))
