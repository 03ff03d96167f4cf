"""What the node's proxy is told: the pods of this node, their policy, and the names behind the numbers. Pure.

The proxy learns a change before the kernel does. For connections and packets that still carry a peer's former identity
the view names it beside the new one (`Former`): an address that changes its number must not lose what it is allowed.
Where the address is known one by one, as pods' are, the view says which identity it has now: the former one may have
split, or may live on with other pods whose rights are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.datapath.tables import IpcacheEntry, IpcacheKey
from agent.desired import Desired, Numbers
from agent.moves import Cover
from agent.state import NodeState
from mesh.model import Address, DirectionPolicy, Grant, Identity, IdentityId, PolicySet, ResolvedRule
from mesh.snapshot import PodEndpoint, ProxyView

REMEMBERED = 1024
MOVED = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """Identities that nobody has any more, and who took their place."""

    successor: Mapping[IdentityId, IdentityId] = field(default_factory=dict)
    identities: Mapping[IdentityId, Identity] = field(default_factory=dict)
    """What the former ones were, for the log."""
    moved: Mapping[Address, IdentityId] = field(default_factory=dict)
    """Addresses that changed or lost their identity, oldest first: always with the one that they have now. One that
    nobody has is remembered too, for whoever gets it next must not be judged as the one before."""


def former_after(
    former: Former, renamed: frozenset[tuple[int, int]], before: NodeState, existing: frozenset[int]
) -> Former:
    """Add what `renamed` says, follow chains, forget numbers that exist (again) and all above a bound."""
    successor = dict(former.successor)
    targets: dict[int, set[int]] = {}
    for old, new in renamed:
        targets.setdefault(old, set()).add(new)
    fresh = {
        IdentityId(old): IdentityId(min(new)) for old, new in targets.items() if old not in existing and len(new) == 1
    }
    for old, new in successor.items():
        successor[old] = fresh.get(new, new)
    successor.update(fresh)
    kept = [(x, y) for x, y in successor.items() if x not in existing and y in existing][-REMEMBERED:]
    known = {
        **former.identities,
        **{x: before.snapshot.identities[x] for x in fresh if x in before.snapshot.identities},
    }
    identities = {x: known[x] for x, _ in kept if x in known}
    return replace(former, successor=dict(kept), identities=identities)


def moved_after(former: Former, changed: frozenset[Address], ipcache: Mapping[IpcacheKey, IpcacheEntry]) -> Former:
    """Add `changed`; say of all that moved what `ipcache` says."""
    addresses = [*(held for held in former.moved if held not in changed), *sorted(changed, key=int)][-MOVED:]
    if not addresses:
        return former
    cover = Cover(ipcache)
    return replace(former, moved={address: IdentityId(cover.of(address)) for address in addresses})


def view(state: NodeState, want: Desired, numbers: Numbers, former: Former) -> ProxyView:
    """The whole view for one revision."""
    snapshot = state.snapshot
    endpoints: dict[int, PodEndpoint] = {}
    for number, endpoint in want.endpoints.items():
        subject = state.policy_subject(endpoint.local.key)
        if endpoint.policy is not None and subject is not None:
            endpoints[number] = subject
    policies = {key: _with_former(policy, former) for key, policy in want.policies.items()}
    services = {f"{f.namespace}/{f.name}" for f in snapshot.frontends.values()}
    return ProxyView(
        revision=snapshot.revision,
        endpoints=endpoints,
        policies=policies,
        identities={**former.identities, **snapshot.identities},
        services={numbers.services.number(name): name for name in sorted(services)},
        trust_domain=snapshot.settings.trust_domain,
        moved=former.moved,
    )


def same_content(one: ProxyView | None, other: ProxyView) -> bool:
    """Whether a worker that holds `one` need not be told `other`: nothing but the revision differs."""
    return one is not None and replace(one, revision=other.revision) == other


def _with_former(policy: PolicySet, former: Former) -> PolicySet:
    if not former.successor:
        return policy
    return replace(policy, egress=_direction(policy.egress, former), ingress=_direction(policy.ingress, former))


def _direction(direction: DirectionPolicy, former: Former) -> DirectionPolicy:
    return replace(direction, rules=tuple(_rule(rule, former) for rule in direction.rules))


def _rule(rule: ResolvedRule, former: Former) -> ResolvedRule:
    return replace(rule, grants=tuple(_grant(grant, former) for grant in rule.grants))


def _grant(grant: Grant, former: Former) -> Grant:
    if grant.peers is None:
        return grant
    more = frozenset(old for old, new in former.successor.items() if new in grant.peers)
    return Grant(grant.peers | more, grant.ports) if more - grant.peers else grant
