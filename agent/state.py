"""What this node knows, as one immutable value: the controller's snapshot and the pods that are attached here. Pure.

`sync` and `endpoints` bring news, `receive`, `attach` and the other functions make the next state of it, `desired`
says what follows for the maps. A state is replaced whole; nobody changes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.errors import OutOfStep, SnapshotRefused
from mesh.model import Address
from mesh.snapshot import Delta, NodeSnapshot, PodEndpoint, apply

DENY_FEEDBACK = ("Reset", "Drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEndpoint:
    """A pod's attachment on this machine, as the local API announced it."""

    id: int
    """1 to 65535, stable for this pod's name."""
    namespace: str
    name: str
    netns: str
    """Path of the pod's network namespace."""
    ifname: str
    """Interface inside the pod."""
    host_ifname: str
    ifindex: int
    """Of the host side, in the node's namespace."""
    netns_cookie: int

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    snapshot: NodeSnapshot
    local: Mapping[str, LocalEndpoint] = field(default_factory=dict)
    """By `namespace/name`."""
    node_addresses: frozenset[Address] = frozenset()
    """The node's own, without loopback and link-local ones."""
    proxy_up: bool = True
    """An agent that starts assumes so: a running proxy comes back within its grace, and the queue waits as long."""

    def policy_subject(self, key: str) -> PodEndpoint | None:
        """What the controller says of an attached pod; None while it says nothing."""
        return self.snapshot.endpoints.get(key)


def receive(state: NodeState, news: NodeSnapshot | Delta) -> NodeState:
    """The state after a snapshot or delta. SnapshotRefused where it does not fit or contradicts itself."""
    if isinstance(news, Delta):
        try:
            snapshot = apply(state.snapshot, news)
        except ValueError as error:
            raise OutOfStep(str(error)) from error
    else:
        snapshot = news
    if snapshot.node != state.snapshot.node:
        raise SnapshotRefused(f"the snapshot is for node {snapshot.node!r}, this is {state.snapshot.node!r}")
    check(snapshot)
    return replace(state, snapshot=snapshot)


def check(snapshot: NodeSnapshot) -> None:
    """Refuse what could only be enforced by guessing."""
    if snapshot.settings.deny_feedback not in DENY_FEEDBACK:
        raise SnapshotRefused(
            f"settings.denyFeedback: {snapshot.settings.deny_feedback!r} is not known to this agent "
            f"(it knows {', '.join(DENY_FEEDBACK)})"
        )
    for key, endpoint in snapshot.endpoints.items():
        if endpoint.enforced and endpoint.policy not in snapshot.policies:
            raise SnapshotRefused(f"endpoint {key}: its policy set {endpoint.policy!r} is not in the snapshot")


def attach(state: NodeState, endpoint: LocalEndpoint) -> NodeState:
    return replace(state, local={**state.local, endpoint.key: endpoint})


def detach(state: NodeState, gone: LocalEndpoint) -> NodeState:
    """Without this very attachment. Another one of the same pod's name has come since: it stays."""
    if state.local.get(gone.key) != gone:
        return state
    return replace(state, local={key: endpoint for key, endpoint in state.local.items() if key != gone.key})
