"""States of a small node for tests of the agent: two pods here, a few elsewhere, policy as a test wants it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address

from agent.datapath.tables import NodeConfig
from agent.desired import Desired
from agent.reconcile import Outcome, Reconciler
from agent.state import LocalEndpoint, NodeState
from mesh.layouts import CONFIG_PROXY_UP
from mesh.model import (
    Action,
    Address,
    DirectionPolicy,
    Grant,
    Identity,
    IdentityId,
    IdentityKind,
    PolicyKey,
    PolicySet,
    PortRange,
    Prefix,
    Protocol,
    ResolvedRule,
    Revision,
    RuleRef,
)
from mesh.snapshot import Backend, Frontend, IpcacheEntry, NodeSnapshot, PodEndpoint

TCP80 = PortRange(Protocol.TCP, 80, 80)
CONFIG = NodeConfig(
    flags=CONFIG_PROXY_UP, mark_mask=0xF0, mark_to_proxy=0x10, mark_from_proxy=0x20, mark_own_answer=0x30,
    proxy_port=15001, agent_port=0, icmp_per_second=100, tcp_established_s=60, tcp_opening_s=10, tcp_closing_s=5,
    udp_s=30, icmp_s=10, flows_per_pod=65536,
)  # fmt: skip


def address(text: str) -> Address:
    return ip_address(text)


def prefix(text: str) -> Prefix:
    return IPv6Network(text) if ":" in text else IPv4Network(text)


def allow(
    *peers: int,
    ports: Iterable[PortRange] = (TCP80,),
    action: Action = Action.ALLOW,
    name: str = "",
    http: bool = False,
) -> ResolvedRule:
    """A rule about these peers; no peer means everybody."""
    return ResolvedRule(
        ref=RuleRef(policy="shop/p", kind="MeshPolicy", rule="ingress[0]", name=name, action=action),
        action=action,
        grants=(Grant(frozenset(IdentityId(p) for p in peers) if peers else None, tuple(ports)),),
        http=() if http else None,
    )


def policy(key: str, *ingress: ResolvedRule, default_deny: bool = True) -> PolicySet:
    return PolicySet(
        key=PolicyKey(key),
        ingress=DirectionPolicy(
            default_deny=default_deny,
            selected_by=(RuleRef(policy="shop/p", kind="MeshPolicy"),),
            rules=ingress,
        ),
    )


def identity(number: int, namespace: str = "shop") -> Identity:
    return Identity(id=IdentityId(number), kind=IdentityKind.POD, namespace=namespace, service_account=f"sa-{number}")


def pod(name: str, ip: str, number: int, key: str, *, enforced: bool = True) -> PodEndpoint:
    return PodEndpoint(
        namespace="shop", name=name, uid=f"uid-{name}", service_account=f"sa-{number}",
        addresses=((address(ip), IdentityId(number)),), enforced=enforced, policy=PolicyKey(key),
    )  # fmt: skip


def local(name: str, number: int, ifindex: int) -> LocalEndpoint:
    return LocalEndpoint(
        id=number, namespace="shop", name=name, netns=f"/run/netns/{name}", ifname="eth0", host_ifname=f"veth-{name}",
        ifindex=ifindex, netns_cookie=1000 + number,
    )  # fmt: skip


def service(ip: str, *backends: str, name: str = "web") -> Frontend:
    return Frontend(
        namespace="shop", name=name, address=address(ip), ports=TCP80,
        backends=tuple(Backend(address(b), 8080) for b in backends),
    )  # fmt: skip


def snapshot(
    *,
    revision: int = 1,
    pods: Iterable[PodEndpoint] = (),
    peers: Mapping[str, int] | None = None,
    policies: Iterable[PolicySet] = (),
    frontends: Iterable[Frontend] = (),
) -> NodeSnapshot:
    """`peers`: prefix -> identity, of everything that is not a pod of this node."""
    ours, others = tuple(pods), dict(peers or {})
    numbers = {n for p in ours for _, n in p.addresses} | {IdentityId(n) for n in others.values() if n > 255}
    return NodeSnapshot(
        node="node-1",
        revision=Revision(revision),
        endpoints={p.key: p for p in ours},
        identities={IdentityId(n): identity(n) for n in numbers},
        ipcache={
            prefix(text): IpcacheEntry(prefix=prefix(text), identity=IdentityId(n), pod=f"shop/peer-{n}")
            for text, n in others.items()
        },
        frontends={f.key: f for f in frontends},
        policies={p.key: p for p in policies},
    )


def node(held: NodeSnapshot, *attached: LocalEndpoint) -> NodeState:
    return NodeState(snapshot=held, local={e.key: e for e in attached})


class WholeReconciler(Reconciler):
    """For tests of what becomes of the maps: both halves in one call, as the enforcer does them."""

    def enforce(self, want: Desired, now: float) -> Outcome:
        return self.execute(self.prepare(want), want, now)
