"""Order of writes: at no moment between two states does a flow get another verdict than both of them give it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.datapath.fake import FakeDatapath
from agent.datapath.tables import AddressKey, IpcacheKey
from agent.desired import Numbers, desired
from agent.moves import Cover
from agent.plan import Hooks, Step, plan
from agent.realized import Realized
from agent.state import NodeState
from mesh.model import Action, Address, Direction, DirectionPolicy, PolicySet, ReservedIdentity
from mesh.policy.chains import verdict
from mesh.snapshot import NodeSnapshot
from tests.support import chains, nodes

ADDRESSES = tuple(f"10.0.0.{n}" for n in range(1, 6))
IDENTITIES = tuple(range(256, 261))
PORTS = (80, 81)


class Observed:
    """A fake datapath that shows itself after every single write."""

    def __init__(self) -> None:
        self.datapath = FakeDatapath()
        self.look: Callable[[], None] | None = None
        tables: Any = self.datapath.tables
        for name in ("ipcache", "endpoint", "policy"):
            self._watch(getattr(tables, name))

    def _watch(self, table: Any) -> None:
        put, delete = table.put, table.delete

        def watched_put(key: Any, value: Any) -> None:
            put(key, value)
            if self.look is not None:
                self.look()

        def watched_delete(key: Any) -> None:
            delete(key)
            if self.look is not None:
                self.look()

        table.put, table.delete = watched_put, watched_delete

    def verdicts(self) -> dict[tuple[int, Direction, Address, int], object]:
        """What the kernel would say now, about every pod, peer and port."""
        cover = Cover(dict(self.datapath.tables.ipcache.items()))
        policy = dict(self.datapath.tables.policy.items())
        found: dict[tuple[int, Direction, Address, int], object] = {}
        for number, endpoint in self.datapath.tables.endpoint.items():
            for text in (*ADDRESSES, "192.0.2.1"):
                peer = nodes.address(text)
                identity = cover.of(peer)
                for direction in Direction:
                    for port in PORTS:
                        said = verdict(chains.flags(policy, endpoint.policy_set, direction, identity, 6, port))
                        unknown = identity == ReservedIdentity.UNKNOWN
                        found[number, direction, peer, port] = "silent" if unknown else said
        return found


@dataclass(frozen=True)
class World:
    peers: dict[str, int]
    policies: tuple[PolicySet, PolicySet]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    peers = draw(st.dictionaries(st.sampled_from(ADDRESSES), st.sampled_from(IDENTITIES)))
    known = sorted({*peers.values(), int(ReservedIdentity.WORLD)})
    rule = st.builds(
        lambda who, action, http: nodes.allow(*who, action=action, http=http),
        st.lists(st.sampled_from(known), max_size=3, unique=True),
        st.sampled_from([Action.ALLOW, Action.ALLOW, Action.DENY]),
        st.booleans(),
    )
    directions = st.builds(
        lambda deny, rules: DirectionPolicy(default_deny=deny, rules=tuple(rules)),
        st.booleans(),
        st.lists(rule, max_size=3),
    )
    first, second = (
        replace(nodes.policy(key), ingress=draw(directions), egress=draw(directions)) for key in ("a", "b")
    )
    cidr = {"10.0.0.0/24": int(ReservedIdentity.UNKNOWN)}
    return World({**cidr, **{f"{a}/32": n for a, n in peers.items()}}, (first, second))


def snapshot_of(world: World, revision: int) -> NodeSnapshot:
    pods = [nodes.pod("a", "10.9.0.1", 300, "a"), nodes.pod("b", "10.9.0.2", 301, "b")]
    return nodes.snapshot(revision=revision, pods=pods, peers=world.peers, policies=world.policies)


def state_of(world: World, revision: int) -> NodeState:
    return nodes.node(snapshot_of(world, revision), nodes.local("a", 1, 11), nodes.local("b", 2, 12))


def undecidable(before: World, after: World) -> set[Address]:
    """Addresses that change between identities of which neither is new nor on its way out: no order can be right."""
    live, staying = set(before.peers.values()), set(after.peers.values())
    moved = [
        (p, before.peers[p], after.peers[p])
        for p in before.peers.keys() & after.peers.keys()
        if before.peers[p] != after.peers[p]
    ]
    origins: dict[int, set[int]] = {}
    targets: dict[int, set[int]] = {}
    for _, x, y in moved:
        origins.setdefault(y, set()).add(x)
        targets.setdefault(x, set()).add(y)
    found: set[Address] = set()
    for text, x, y in moved:
        fresh = y not in live and len(origins[y]) == 1
        leaving = all(o not in staying and len(targets[o]) == 1 for o in origins[y])
        if not fresh and not leaving:
            found.add(nodes.address(text.partition("/")[0]))
        assert x != y
    return found


def reconciler_on(datapath: FakeDatapath) -> nodes.WholeReconciler:
    return nodes.WholeReconciler(datapath, nodes.CONFIG, first_epoch=lambda: 1, interface_exists=lambda _: True)


def assert_calm(one: World, other: World) -> None:
    kernel, numbers = Observed(), Numbers()
    reconciler = reconciler_on(kernel.datapath)
    first = desired(state_of(one, 1), numbers)
    reconciler.enforce(first, 0.0)
    before = kernel.verdicts()
    second = desired(state_of(other, 2), numbers, first)
    seen: list[dict[Any, object]] = []
    kernel.look = lambda: seen.append(kernel.verdicts())
    reconciler.enforce(second, 1.0)
    kernel.look = None
    after = kernel.verdicts()
    skip = undecidable(one, other)
    for moment in seen:
        for flow, said in before.items():
            if said == after[flow] and flow[2] not in skip:
                assert moment[flow] == said, flow


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), worlds())
def test_no_verdict_flickers_between_two_states(one: World, other: World) -> None:
    assert_calm(one, other)


def test_no_flicker_when_a_peer_takes_on_a_new_identity_while_policy_changes() -> None:
    assert_calm(
        World({"10.0.0.1/32": 256}, (nodes.policy("a", nodes.allow(256)), nodes.policy("b"))),
        World({"10.0.0.1/32": 257}, (nodes.policy("a", nodes.allow(257), nodes.allow(2)), nodes.policy("b"))),
    )


def test_no_flicker_when_a_peer_joins_an_identity_that_others_have_while_policy_changes() -> None:
    peers = {"10.0.0.1/32": 256, "10.0.0.2/32": 257}
    joined = {"10.0.0.1/32": 257, "10.0.0.2/32": 257}
    assert_calm(
        World(peers, (nodes.policy("a", nodes.allow(256)), nodes.policy("b"))),
        World(joined, (nodes.policy("a", nodes.allow(257)), nodes.policy("b"))),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), worlds())
def test_after_reconcile_the_kernel_says_what_a_fresh_kernel_says(one: World, other: World) -> None:
    kernel, fresh, numbers = Observed(), Observed(), Numbers()
    reconciler = reconciler_on(kernel.datapath)
    first, second = desired(state_of(one, 1), numbers), desired(state_of(other, 2), numbers)
    reconciler.enforce(first, 0.0)
    reconciler.enforce(second, 1.0)
    reconciler.sweep(100.0)
    reconciler_on(fresh.datapath).enforce(second, 0.0)
    assert kernel.verdicts() == fresh.verdicts()
    assert len(list(kernel.datapath.tables.policy.items())) == len(list(fresh.datapath.tables.policy.items()))
    assert dict(kernel.datapath.tables.ipcache.items()) == dict(second.ipcache)


@settings(max_examples=60, deadline=None)
@given(worlds(), worlds())
def test_reconcile_twice_does_nothing_the_second_time(one: World, other: World) -> None:
    reconciler = reconciler_on(FakeDatapath())
    numbers = Numbers()
    reconciler.enforce(desired(state_of(one, 1), numbers), 0.0)
    want = desired(state_of(other, 2), numbers)
    reconciler.enforce(want, 1.0)
    assert not reconciler.enforce(want, 2.0).changed


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_restarted_agent_changes_nothing_and_bumps_no_epoch(world: World) -> None:
    datapath = FakeDatapath()
    reconciler_on(datapath).enforce(desired(state_of(world, 1), Numbers()), 0.0)
    before = dict(datapath.tables.endpoint.items())
    second = reconciler_on(datapath)
    second.read_back()
    todo = second.prepare(desired(state_of(world, 1), Numbers()))
    assert [step for step in todo.steps if hasattr(step, "table")] == []
    outcome = second.execute(todo, desired(state_of(world, 1), Numbers()), 1.0)
    assert not outcome.flipped
    assert dict(datapath.tables.endpoint.items()) == before


def _plan(old: NodeState | None, new: NodeState) -> Any:
    numbers = Numbers()
    reconciler = reconciler_on(FakeDatapath())
    if old is not None:
        reconciler.enforce(desired(old, numbers), 0.0)
    return reconciler.prepare(desired(new, numbers))


def test_a_new_peer_is_added_in_place_without_a_flip() -> None:
    peers = {"10.0.0.0/24": 0, "10.0.0.1/32": 256}
    one = World(peers, (nodes.policy("a", nodes.allow(256)), nodes.policy("b")))
    two = World({**peers, "10.0.0.2/32": 257}, (nodes.policy("a", nodes.allow(256, 257)), nodes.policy("b")))
    todo = _plan(state_of(one, 1), state_of(two, 2))
    assert [step.table for step in todo.steps] == ["policy", "ipcache"]
    assert todo.flipped == frozenset()


def test_policy_for_a_known_peer_makes_a_new_set_and_one_flip() -> None:
    peers = {"10.0.0.0/24": 0, "10.0.0.1/32": 256}
    one = World(peers, (nodes.policy("a", nodes.allow(256)), nodes.policy("b")))
    two = World(peers, (nodes.policy("a"), nodes.policy("b")))
    todo = _plan(state_of(one, 1), state_of(two, 2))
    assert todo.flipped == {1}
    entry = next(step.put[1] for step in todo.steps if step.table == "endpoint")
    assert entry.epoch == 2


def test_a_peer_that_becomes_somebody_policy_treats_differently_is_asked_again() -> None:
    policies = (nodes.policy("a", nodes.allow(256)), nodes.policy("b"))
    one = World({"10.0.0.1/32": 256}, policies)
    two = World({"10.0.0.1/32": 257}, (nodes.policy("a"), nodes.policy("b")))
    assert 1 in _plan(state_of(one, 1), state_of(two, 2)).flipped


def test_an_unidentified_pod_is_denied_everything_but_has_its_hooks() -> None:
    todo = _plan(None, nodes.node(nodes.snapshot(), nodes.local("a", 1, 11)))
    entry = next(step.put[1] for step in todo.steps if getattr(step, "table", "") == "endpoint")
    assert entry.policy_set == 0
    assert any(getattr(step, "attach", ()) == (11,) for step in todo.steps)


def test_an_unenrolled_pod_is_known_to_others_and_only_watched() -> None:
    """Its interface gets the program for what it opens to pods of this node, and no entry of its own."""
    exempt = nodes.snapshot(pods=[nodes.pod("a", "10.9.0.1", 300, "", enforced=False)])
    todo = _plan(None, nodes.node(exempt, nodes.local("a", 1, 11)))
    assert [step for step in todo.steps if isinstance(step, Hooks)] == [Hooks(guests=(11,))]
    tables = {step.table: step.put for step in todo.steps if isinstance(step, Step)}
    assert tables.keys() == {"ipcache", "endpoint_by_address"}
    assert tables["endpoint_by_address"][AddressKey(nodes.address("10.9.0.1"))] == 0
    put = tables["ipcache"]
    assert put[IpcacheKey(nodes.prefix("10.9.0.1/32"))].identity == 300


def test_a_pod_that_is_un_enrolled_changes_its_hooks_before_its_entries_go() -> None:
    one = World({}, (nodes.policy("a"), nodes.policy("b")))
    enrolled = state_of(one, 1)
    exempt = replace(nodes.pod("a", "10.9.0.1", 300, "a"), enforced=False)
    after = replace(
        enrolled, snapshot=replace(enrolled.snapshot, endpoints={**enrolled.snapshot.endpoints, "shop/a": exempt})
    )
    steps = _plan(enrolled, after).steps
    hooks = next(i for i, step in enumerate(steps) if isinstance(step, Hooks) and step.guests == (11,))
    delete = next(i for i, step in enumerate(steps) if getattr(step, "table", "") == "endpoint" and step.delete)
    assert hooks < delete
    assert not any(getattr(step, "detach", ()) for step in steps)


def test_nothing_to_do_on_an_empty_node() -> None:
    want = desired(nodes.node(nodes.snapshot()), Numbers())
    have = Realized(ipcache=dict(want.ipcache))
    found = plan(want, have, next_set=1, first_epoch=1, backend_capacity=10, ghosts=frozenset())
    assert found.steps == ()
