"""What the words of a question about policy stand for: pods, addresses, prefixes, Services.

Pure. One end of a question can stand for several identities (a Service's backends, a pod with two families, a prefix
with narrower ones inside): each is an `End` of its own, and `controller.simulate` decides them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from controller.errors import BadQuestion, NoSuchThing
from controller.intent import Intent
from controller.services import backends
from controller.snapshot import ClusterView
from mesh.model import Address, IdentityId, Prefix, Protocol, ReservedIdentity
from mesh.objects.core import Pod
from mesh.objects.services import EndpointSlice, Service, ServicePort
from mesh.policy.cluster import PodPolicy
from mesh.policy.prefixes import contains, host_prefix

Json = dict[str, Any]

PODS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One thing that an end of the question can stand for."""

    identity: IdentityId
    pod: PodPolicy | None = None
    version: int = 0
    """Family, 4 or 6; 0: either."""
    address: str = ""
    port: int = 0
    """For a destination: the port that policy sees."""
    service: str = ""
    node: str = ""
    """For a node's own address or a pod on its network: the node."""

    def json(self) -> Json:
        answer: Json = {"identity": int(self.identity)}
        if self.pod is not None:
            answer |= {
                "namespace": self.pod.namespace,
                "pod": self.pod.name,
                "node": self.pod.node,
                "serviceAccount": self.pod.service_account,
            }
        for key, value in (("ip", self.address), ("port", self.port), ("service", self.service)):
            if value:
                answer[key] = value
        return answer


class Directory:
    """Looks words up in one revision."""

    def __init__(self, view: ClusterView, intent: Intent) -> None:
        self._view = view
        self._intent = intent

    def source(self, text: str) -> list[End]:
        """`NS/POD`, an address or a CIDR. Raises BadQuestion or NoSuchThing."""
        block = _block(text)
        if block is not None:
            return self._block_ends(block, 0)
        namespace, name = _pair(text)
        pod = self._view.policy.pods.get(f"{namespace}/{name}")
        if pod is None:
            raise no_pod(self._view, f"there is no pod {namespace}/{name} that runs", f"{namespace}/{name}")
        return self._pod_ends(pod, 0)

    def destination(self, text: str, port: int, port_name: str, protocol: Protocol) -> list[End]:
        """The same, and `NS/SERVICE` or a Service's address: its ready backends at their target ports."""
        block = _block(text)
        if block is not None:
            service = self._service_at(block)
            if service is not None:
                return self._service_ends(service, port, port_name, protocol, block.version)
            return self._block_ends(block, _numbered(port, port_name, text, protocol))
        namespace, name = _pair(text)
        pod = self._view.policy.pods.get(f"{namespace}/{name}")
        service = self._service(namespace, name)
        if service is not None and (pod is None or self._meant(service, pod, port, port_name, protocol)):
            return self._service_ends(service, port, port_name, protocol)
        if pod is None:
            hint = "" if "/" in text else "; a name outside the cluster has no policy yet, give its address"
            said = f"there is neither a pod nor a Service {namespace}/{name}{hint}"
            raise no_pod(self._view, said, f"{namespace}/{name}")
        return self._pod_ends(pod, self._pod_port(pod, port, port_name, protocol))

    def _pod_ends(self, pod: PodPolicy, port: int, service: str = "") -> list[End]:
        if pod.addresses:
            return [
                End(identity=number, pod=pod, version=address.version, address=str(address), port=port, service=service)
                for address, number in pod.addresses
            ]
        stored = self._pod(pod)
        if stored is None or not stored.spec.host_network:
            raise BadQuestion(f"pod {pod.key} has no address yet")
        # On the node's network it has the node's identity, which a pod of the same node sees as its host.
        addresses = self._view.node_addresses.get(pod.node, ())
        numbers = {self._view.policy.identity_at(address) for address in addresses}
        numbers = numbers or {IdentityId(ReservedIdentity.REMOTE_NODE)}
        return [End(identity=number, pod=pod, node=pod.node, port=port, service=service) for number in sorted(numbers)]

    def _block_ends(self, block: Prefix, port: int) -> list[End]:
        """Every identity that the block holds: the one around it, and those of the prefixes inside it."""
        if block.num_addresses == 1:
            return [self._address_end(block.network_address, port)]
        found = {self._around(block)}
        found |= {entry for prefix, entry in self._view.policy.prefixes.items() if contains(block, prefix)}
        return [End(identity=number, version=block.version, address=str(block), port=port) for number in sorted(found)]

    def _address_end(self, address: Address, port: int) -> End:
        entry = self._view.ipcache.get(host_prefix(address))
        pod = self._view.policy.pods.get(entry.pod) if entry is not None and entry.pod else None
        return End(
            identity=self._view.policy.identity_at(address),
            pod=pod,
            version=address.version,
            address=str(address),
            port=port,
            node=entry.node if entry is not None and pod is None else "",
        )

    def _around(self, block: Prefix) -> IdentityId:
        for length in range(block.prefixlen, -1, -1):
            found = self._view.policy.prefixes.get(block.supernet(new_prefix=length))
            if found is not None:
                return found
        return IdentityId(ReservedIdentity.WORLD)

    def _service_ends(
        self, service: Service, port: int, port_name: str, protocol: Protocol, version: int | None = None
    ) -> list[End]:
        entry = _service_port(service, port, port_name, protocol)
        slices = [
            item.object
            for item in self._intent.of_kind("EndpointSlice")
            if isinstance(item.object, EndpointSlice) and item.object.service == service.key
        ]
        found: list[End] = []
        for backend in backends(service, entry, slices, version):
            end = self._address_end(backend.address, backend.port)
            found.append(
                End(
                    identity=end.identity,
                    pod=end.pod,
                    version=end.version,
                    address=end.address,
                    port=end.port,
                    service=service.key,
                    node=end.node,
                )
            )
        if not found:
            raise BadQuestion(f"Service {service.key} has no ready backend on port {entry.port}")
        return found

    def _pod_port(self, pod: PodPolicy, port: int, port_name: str, protocol: Protocol) -> int:
        if not port_name:
            return _numbered(port, port_name, pod.key, protocol)
        stored = self._pod(pod)
        for entry in stored.spec.ports if stored is not None else ():
            if entry.name == port_name and entry.protocol is protocol:
                return entry.number
        raise BadQuestion(f"pod {pod.key} has no {protocol.name} port named {port_name!r}")

    def _meant(self, service: Service, pod: PodPolicy, port: int, port_name: str, protocol: Protocol) -> bool:
        """Pod and Service have one name: the Service is meant where only it knows the port."""
        stored = self._pod(pod)
        declared: Iterable[tuple[int, str]] = (
            [(entry.number, entry.name) for entry in stored.spec.ports if entry.protocol is protocol] if stored else ()
        )
        if any(port_name == name if port_name else port == number for number, name in declared):
            return False
        return any(entry.protocol is protocol and _is_port(entry, port, port_name) for entry in service.ports)

    def _pod(self, pod: PodPolicy) -> Pod | None:
        entry = self._intent.entries.get(("Pod", pod.namespace, pod.name))
        return entry.object if entry is not None and isinstance(entry.object, Pod) else None

    def _service(self, namespace: str, name: str) -> Service | None:
        entry = self._intent.entries.get(("Service", namespace, name))
        return entry.object if entry is not None and isinstance(entry.object, Service) else None

    def _service_at(self, block: Prefix) -> Service | None:
        if block.num_addresses != 1:
            return None
        for entry in self._intent.of_kind("Service"):
            if isinstance(entry.object, Service) and block.network_address in entry.object.cluster_ips:
                return entry.object
        return None


def no_pod(view: ClusterView, said: str, key: str) -> NoSuchThing:
    """A Deployment's name is not a pod's: say which pods begin with it."""
    near = sorted(pod for pod in view.policy.pods if pod.startswith(f"{key}-"))[:PODS_SHOWN]
    return NoSuchThing(f"{said}; pods that begin like it: {', '.join(near)}" if near else said)


def _service_port(service: Service, port: int, port_name: str, protocol: Protocol) -> ServicePort:
    for entry in service.ports:
        if entry.protocol is protocol and _is_port(entry, port, port_name):
            return entry
    known = ", ".join(f"{entry.protocol.name} {entry.port}" for entry in service.ports) or "none"
    raise BadQuestion(f"Service {service.key} has no {protocol.name} port {port_name or port} (it has: {known})")


def _is_port(entry: ServicePort, port: int, port_name: str) -> bool:
    return entry.name == port_name if port_name else entry.port == port


def _numbered(port: int, port_name: str, text: str, protocol: Protocol) -> int:
    if port_name:
        raise BadQuestion(f"{text} is an address: give the port {port_name!r} by number")
    with_ports = protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
    if with_ports and not 0 < port < 65536:
        raise BadQuestion(f"{port} is not a port (1 to 65535)")
    return port if with_ports else 0


def _block(text: str) -> Prefix | None:
    try:
        return ip_network(text)
    except ValueError:
        if text.count("/") == 1 and text.partition("/")[2].isdecimal() and any(char in text for char in ".:"):
            raise BadQuestion(f"{text} is not a CIDR: bits are set behind its length, or it is too long") from None
        return None


def _pair(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if slash and namespace and name and "/" not in name:
        return namespace, name
    # A Service's name in the cluster's DNS: svc.ns, svc.ns.svc, svc.ns.svc.cluster.local.
    labels = text.rstrip(".").split(".")
    if not slash and len(labels) >= 2 and labels[2:3] in ([], ["svc"]):
        return labels[1], labels[0]
    raise BadQuestion(f"{text[:80]!r} is none of NAMESPACE/NAME, an address, a CIDR, SERVICE.NAMESPACE")
