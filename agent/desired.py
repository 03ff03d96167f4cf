"""From what the node knows to what every map should hold. Pure; `plan` compares the result with what maps do hold.

Numbers of policy sets and epochs are not decided here: they depend on what the kernel holds already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from agent.datapath.tables import BackendEntry, IpcacheEntry, IpcacheKey, ServiceKey
from agent.numbers import NumberTable
from agent.policysets import Content, content_of
from agent.state import LocalEndpoint, NodeState
from mesh.layouts import CONFIG_DROP_SILENTLY, CONFIG_PROXY_UP, ENDPOINT_HAS_V4, ENDPOINT_HAS_V6, IPCACHE_LOCAL
from mesh.model import Address, PolicyKey, PolicySet, Prefix, Protocol, ReservedIdentity, RuleRef
from mesh.policy.chains import compile_chains
from mesh.policy.prefixes import host_prefix
from mesh.snapshot import NodeSnapshot, PodEndpoint

EVERYWHERE: tuple[Prefix, Prefix] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


def rules_text(rules: tuple[RuleRef, ...]) -> str:
    """Canonical text of a set of rules: the source of its number."""
    return "\n".join(f"{r.policy}\t{r.kind}\t{r.rule}\t{r.name}\t{r.action.value}" for r in rules)


class Numbers:
    """The tables behind the numbers that entries and events carry."""

    def __init__(self) -> None:
        self.rules: NumberTable[tuple[RuleRef, ...]] = NumberTable(rules_text)
        self.services: NumberTable[str] = NumberTable(str)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredEndpoint:
    """An endpoint entry but for {set, epoch}."""

    local: LocalEndpoint
    policy: PolicyKey | None
    """None: not identified yet, everything is denied."""
    flags: int = 0
    identity4: int = 0
    identity6: int = 0
    addr4: Address | None = None
    addr6: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredService:
    number: int
    backends: tuple[BackendEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The contents of every map that the agent writes."""

    config_flags: int = 0
    ipcache: Mapping[IpcacheKey, IpcacheEntry] = field(default_factory=dict)
    identities: frozenset[int] = frozenset()
    """Numbers that exist: what is not among them will not come back."""
    endpoints: Mapping[int, DesiredEndpoint] = field(default_factory=dict)
    guests: frozenset[int] = frozenset()
    """Interfaces of attached pods that are not enrolled: left alone, but for what they open to pods of this node."""
    policies: Mapping[PolicyKey, PolicySet] = field(default_factory=dict)
    """Those that endpoints here use."""
    contents: Mapping[PolicyKey, Content] = field(default_factory=dict)
    services: Mapping[ServiceKey, DesiredService] = field(default_factory=dict)


def desired(state: NodeState, numbers: Numbers, before: Desired | None = None) -> Desired:
    """What the maps should hold. `before` saves compiling policy sets that have not changed."""
    snapshot = state.snapshot
    endpoints = _endpoints(state)
    policies = {e.policy: snapshot.policies[e.policy] for e in endpoints.values() if e.policy is not None}
    contents: dict[PolicyKey, Content] = {}
    for key, policy in policies.items():
        held = before.policies.get(key) if before is not None else None
        if before is not None and held == policy:
            contents[key] = before.contents[key]
        else:
            contents[key] = content_of(compile_chains(policy), numbers.rules)
    ipcache = _ipcache(state)
    return Desired(
        config_flags=_config_flags(state),
        ipcache=ipcache,
        identities=frozenset(snapshot.identities) | frozenset(entry.identity for entry in ipcache.values()),
        endpoints=endpoints,
        guests=frozenset(local.ifindex for local in state.local.values() if local.id not in endpoints),
        policies=policies,
        contents=contents,
        services=_services(snapshot, numbers),
    )


def _config_flags(state: NodeState) -> int:
    flags = CONFIG_PROXY_UP if state.proxy_up else 0
    if state.snapshot.settings.deny_feedback == "Drop":
        flags |= CONFIG_DROP_SILENTLY
    return flags


def _endpoints(state: NodeState) -> dict[int, DesiredEndpoint]:
    """Attached pods but for those that the controller says to leave alone."""
    endpoints: dict[int, DesiredEndpoint] = {}
    for key, local in state.local.items():
        subject = state.policy_subject(key)
        if subject is None:
            endpoints[local.id] = DesiredEndpoint(local=local, policy=None)
        elif subject.enforced:
            endpoints[local.id] = _enforced(local, subject)
    return endpoints


def _enforced(local: LocalEndpoint, subject: PodEndpoint) -> DesiredEndpoint:
    identity: dict[int, int] = {}
    address: dict[int, Address] = {}
    for item, number in subject.addresses:
        # The kernel knows one address of each family per pod, as Kubernetes does (status.podIPs).
        if item.version not in address:
            address[item.version] = item
            identity[item.version] = number
    flags = (ENDPOINT_HAS_V4 if 4 in address else 0) | (ENDPOINT_HAS_V6 if 6 in address else 0)
    return DesiredEndpoint(
        local=local,
        policy=subject.policy,
        flags=flags,
        identity4=identity.get(4, 0),
        identity6=identity.get(6, 0),
        addr4=address.get(4),
        addr6=address.get(6),
    )


def _ipcache(state: NodeState) -> dict[IpcacheKey, IpcacheEntry]:
    """The controller's prefixes, the pods of this node, the node itself; always the world behind them."""
    entries: dict[Prefix, IpcacheEntry] = {p: IpcacheEntry(ReservedIdentity.WORLD) for p in EVERYWHERE}
    for prefix, item in state.snapshot.ipcache.items():
        entries[prefix] = IpcacheEntry(item.identity)
    for key, endpoint in state.snapshot.endpoints.items():
        local = state.local.get(key)
        for address, identity in endpoint.addresses:
            entries[host_prefix(address)] = IpcacheEntry(identity, IPCACHE_LOCAL, local.ifindex if local else 0)
    for address in state.node_addresses:
        entries[host_prefix(address)] = IpcacheEntry(ReservedIdentity.HOST, IPCACHE_LOCAL)
    return {IpcacheKey(prefix): entry for prefix, entry in entries.items()}


def _services(snapshot: NodeSnapshot, numbers: Numbers) -> dict[ServiceKey, DesiredService]:
    services: dict[ServiceKey, DesiredService] = {}
    for frontend in snapshot.frontends.values():
        number = numbers.services.number(f"{frontend.namespace}/{frontend.name}")
        backends = tuple(BackendEntry(b.address, b.port) for b in frontend.backends)
        key = ServiceKey(frontend.address, frontend.ports.low, frontend.ports.protocol)
        services[key] = DesiredService(number=number, backends=backends)
        # Port 0 says that the address is a service's: its other ports are refused instead of routed somewhere.
        services[ServiceKey(frontend.address, 0, Protocol.ANY)] = DesiredService(number=number, backends=())
    return services
