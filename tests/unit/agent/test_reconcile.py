"""Carrying out plans: full maps, failures, what is swept, what a restart takes over.

Long because every step of a plan is made to fail, and so is taking it back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.datapath.fake import FakeDatapath
from agent.datapath.interface import DatapathError, MapFull
from agent.desired import Numbers, desired
from agent.reconcile import SET_GRACE_S
from agent.state import NodeState
from mesh.model import DirectionPolicy, RuleRef
from tests.support import faults, nodes

TABLES = ("ipcache", "endpoint", "endpoint_by_ifindex", "endpoint_by_address", "endpoint_by_netns", "policy", "service")


def node_with(*rules: Any, pods: int = 1, backends: tuple[str, ...] = ("10.9.0.1",)) -> NodeState:
    names = [f"p{n}" for n in range(pods)]
    held = nodes.snapshot(
        pods=[nodes.pod(name, f"10.9.0.{n + 1}", 300, "a") for n, name in enumerate(names)],
        peers={"10.0.0.0/8": 0, "10.9.1.1/32": 256, "10.9.1.2/32": 257},
        policies=[nodes.policy("a", *rules)],
        frontends=[nodes.service("10.96.0.1", *backends)],
    )
    return nodes.node(held, *(nodes.local(name, n + 1, 11 + n) for n, name in enumerate(names)))


def contents(datapath: FakeDatapath) -> dict[str, dict[Any, Any]]:
    return {name: dict(getattr(datapath.tables, name).items()) for name in TABLES}


def make(datapath: FakeDatapath, **more: Any) -> nodes.WholeReconciler:
    return nodes.WholeReconciler(
        datapath, nodes.CONFIG, **{"first_epoch": lambda: 1, "interface_exists": lambda _: True, **more}
    )


def test_realized_is_desired_after_enforcing() -> None:
    datapath = FakeDatapath()
    want = desired(node_with(nodes.allow(256)), Numbers())
    make(datapath).enforce(want, 0.0)
    held = contents(datapath)
    assert held["ipcache"] == dict(want.ipcache)
    entry = held["endpoint"][1]
    assert (entry.ifindex, entry.identity4, entry.netns_cookie, entry.epoch) == (11, 300, 1001, 1)
    assert held["endpoint_by_ifindex"] == {11: 1}
    assert held["endpoint_by_netns"] == {1001: 1}
    assert {key.set for key in held["policy"]} == {entry.policy_set}
    assert datapath.attached == {("tc_from_pod", 11), ("tc_to_pod", 11)}
    assert datapath.config is not None


def test_a_full_map_is_found_before_the_first_write() -> None:
    datapath = FakeDatapath()
    reconciler = make(datapath)
    numbers = Numbers()
    reconciler.enforce(desired(node_with(nodes.allow(256)), numbers), 0.0)
    before = contents(datapath)
    policy: Any = datapath.tables.policy
    policy.max_entries = len(before["policy"])
    with pytest.raises(MapFull, match="map policy holds"):
        reconciler.enforce(desired(node_with(nodes.allow(256, 257)), numbers), 1.0)
    assert contents(datapath) == before


@pytest.mark.parametrize("table", ["policy", "ipcache", "endpoint", "service", "backend"])
def test_a_failure_half_way_leaves_what_was_in_force(table: str) -> None:
    datapath = FakeDatapath()
    reconciler = make(datapath)
    numbers = Numbers()
    reconciler.enforce(desired(node_with(nodes.allow(256)), numbers), 0.0)
    before = contents(datapath)
    changed = node_with(nodes.allow(257), backends=("10.9.0.1", "10.9.1.1"))
    cache = {**changed.snapshot.ipcache}
    cache.pop(nodes.prefix("10.9.1.1/32"))
    changed = replace(changed, snapshot=replace(changed.snapshot, ipcache=cache))
    target: Any = getattr(datapath.tables, table)
    method = "delete_many" if table == "ipcache" else "put_many"
    working = getattr(target, method)

    def fail(entries: Any) -> None:
        setattr(target, method, working)
        raise DatapathError("the kernel says no")

    setattr(target, method, fail)
    with pytest.raises(DatapathError, match="says no"):
        reconciler.enforce(desired(changed, numbers), 1.0)
    after = contents(datapath)
    undone, held = after.pop("endpoint"), before.pop("endpoint")
    assert after == before
    assert {n: replace(entry, epoch=0) for n, entry in undone.items()} == {
        n: replace(entry, epoch=0) for n, entry in held.items()
    }
    reconciler.enforce(desired(changed, numbers), 2.0)
    again: Any = datapath.tables.endpoint.get(1)
    assert again.policy_set != undone[1].policy_set
    assert (undone[1] == held[1]) == (table == "policy")
    if undone[1] != held[1]:  # it had flipped: flows of that moment bear the epoch between, which never comes again
        assert undone[1].epoch == held[1].epoch + 2
        assert again.epoch == held[1].epoch + 3


def test_a_pod_whose_arrival_was_undone_arrives_with_another_epoch() -> None:
    """Its flows of that moment were decided by another set; they must not pass for decided by the next."""
    datapath = FakeDatapath()
    reconciler = make(datapath)
    numbers = Numbers()
    working, seen = datapath.tables.service.put_many, []

    def fail(entries: Any) -> None:
        seen.append(datapath.tables.endpoint.get(1))
        datapath.tables.service.put_many = working  # type: ignore[method-assign]
        raise DatapathError("no memory")

    datapath.tables.service.put_many = fail  # type: ignore[method-assign]
    with pytest.raises(DatapathError):
        reconciler.enforce(desired(node_with(nodes.allow(256)), numbers), 0.0)
    assert datapath.tables.endpoint.get(1) is None
    reconciler.enforce(desired(node_with(nodes.allow(257)), numbers), 1.0)
    arrived = datapath.tables.endpoint.get(1)
    assert arrived is not None
    assert arrived.epoch > seen[0].epoch


def test_a_set_that_was_left_goes_after_its_grace_and_stays_explained() -> None:
    datapath = FakeDatapath()
    reconciler = make(datapath)
    numbers = Numbers()
    reconciler.enforce(desired(node_with(nodes.allow(256)), numbers), 0.0)
    old = datapath.tables.endpoint.get(1)
    assert old is not None
    reconciler.enforce(desired(node_with(nodes.allow(257)), numbers), 10.0)
    reconciler.sweep(10.0)
    assert old.policy_set in {key.set for key, _ in datapath.tables.policy.items()}
    reconciler.sweep(10.0 + SET_GRACE_S)
    assert old.policy_set not in {key.set for key, _ in datapath.tables.policy.items()}
    assert reconciler.policy_of(old.policy_set, 1) is not None
    reconciler.sweep(1000.0)
    assert reconciler.policy_of(old.policy_set, 1) is None


def test_pods_that_share_a_set_are_explained_by_their_own_policies() -> None:
    """Two policies that deny everything compile to the same entries; a record must not name the other pod's."""
    datapath = FakeDatapath()
    reconciler = make(datapath)
    closed = {
        key: replace(
            nodes.policy(key),
            ingress=DirectionPolicy(
                default_deny=True, selected_by=(RuleRef(policy=f"shop/{key}", kind="NetworkPolicy"),), rules=()
            ),
        )
        for key in ("a", "b")
    }
    pods = [nodes.pod("p0", "10.9.0.1", 300, "a"), nodes.pod("p1", "10.9.0.2", 301, "b")]
    held = nodes.snapshot(pods=pods, policies=closed.values())
    state = nodes.node(held, nodes.local("p0", 1, 11), nodes.local("p1", 2, 12))
    reconciler.enforce(desired(state, Numbers()), 0.0)
    one, two = datapath.tables.endpoint.get(1), datapath.tables.endpoint.get(2)
    assert one is not None
    assert two is not None
    assert one.policy_set == two.policy_set
    assert reconciler.policy_of(one.policy_set, 1) == closed["a"]
    assert reconciler.policy_of(two.policy_set, 2) == closed["b"]


def test_a_flip_is_one_write_of_set_and_epoch() -> None:
    datapath = FakeDatapath()
    reconciler = make(datapath)
    numbers = Numbers()
    reconciler.enforce(desired(node_with(nodes.allow(256)), numbers), 0.0)
    before = datapath.tables.endpoint.get(1)
    outcome = reconciler.enforce(desired(node_with(nodes.allow(257)), numbers), 1.0)
    after = datapath.tables.endpoint.get(1)
    assert before is not None
    assert after is not None
    assert outcome.flipped == {1}
    assert (after.epoch, after.policy_set != before.policy_set) == (before.epoch + 1, True)


def test_set_numbers_are_reserved_before_they_are_used() -> None:
    reserved: list[int] = []
    datapath = FakeDatapath()
    make(datapath, next_set=40, reserve=reserved.append).enforce(desired(node_with(nodes.allow(256)), Numbers()), 0.0)
    assert reserved[0] > 40
    assert {key.set for key, _ in datapath.tables.policy.items()} == {40}


def test_a_removed_pod_takes_its_entries_along() -> None:
    datapath = FakeDatapath()
    reconciler = make(datapath)
    numbers = Numbers()
    reconciler.enforce(desired(node_with(nodes.allow(256), pods=2), numbers), 0.0)
    state = node_with(nodes.allow(256), pods=2)
    gone = replace(state, local={"shop/p0": state.local["shop/p0"]})
    outcome = reconciler.enforce(desired(gone, numbers), 1.0)
    assert outcome.removed == {2}
    assert outcome.flipped == frozenset()
    assert list(contents(datapath)["endpoint"]) == [1]
    assert ("tc_from_pod", 12) not in datapath.attached


def test_a_pod_leaves_the_mesh_and_comes_back_on_the_same_interface() -> None:
    datapath = FakeDatapath()
    reconciler, numbers = make(datapath), Numbers()
    enrolled = node_with(nodes.allow(256))
    guest = replace(nodes.pod("p0", "10.9.0.1", 300, "a"), enforced=False)
    left = replace(enrolled, snapshot=replace(enrolled.snapshot, endpoints={"shop/p0": guest}))
    for state, hooks in ((enrolled, {"tc_from_pod", "tc_to_pod"}), (left, {"tc_from_guest"})) * 2:
        reconciler.enforce(desired(state, numbers), 0.0)
        assert datapath.attached == {(hook, 11) for hook in hooks}
    reconciler.enforce(desired(replace(left, local={}), numbers), 0.0)
    assert datapath.attached == set()


def test_an_interface_that_vanished_does_not_stop_the_others() -> None:
    datapath = FakeDatapath()

    def refuse(ifindex: int) -> None:
        raise DatapathError(f"no interface {ifindex}")

    datapath.attach_pod = refuse  # type: ignore[method-assign]
    make(datapath, interface_exists=lambda _: False).enforce(desired(node_with(), Numbers()), 0.0)
    other = FakeDatapath()
    other.attach_pod = refuse  # type: ignore[method-assign]
    with pytest.raises(DatapathError, match="no interface 11"):
        make(other).enforce(desired(node_with(), Numbers()), 0.0)


def test_rules_in_use_are_those_of_the_kernel() -> None:
    reconciler = make(FakeDatapath())
    numbers = Numbers()
    rule = nodes.allow(256)
    reconciler.enforce(desired(node_with(rule), numbers), 0.0)
    assert [numbers.rules.item(n) for n in reconciler.rules_in_use() if n] == [(rule.ref,)]


def before_and_after() -> tuple[NodeState, NodeState]:
    """A change with every kind of step: pods come, leave, change their policy, enrol and leave the mesh."""
    local = [nodes.local(name, n + 1, 11 + n) for n, name in enumerate(("stays", "leaves", "guest", "member", "comes"))]
    pods = [
        nodes.pod("stays", "10.9.0.1", 300, "a"),
        nodes.pod("leaves", "10.9.0.2", 301, "a"),
        nodes.pod("guest", "10.9.0.3", 302, "b", enforced=False),
        nodes.pod("member", "10.9.0.4", 303, "b"),
    ]
    old = nodes.snapshot(
        pods=pods,
        peers={"10.0.0.0/8": 0, "10.9.1.1/32": 256, "10.9.1.2/32": 257},
        policies=[nodes.policy("a", nodes.allow(256)), nodes.policy("b", nodes.allow(257))],
        frontends=[nodes.service("10.96.0.1", "10.9.0.1"), nodes.service("10.96.0.2", "10.9.0.2", name="old")],
    )
    new = nodes.snapshot(
        pods=[
            nodes.pod("stays", "10.9.0.1", 310, "a"),
            nodes.pod("guest", "10.9.0.3", 302, "b"),
            nodes.pod("member", "10.9.0.4", 303, "b", enforced=False),
            nodes.pod("comes", "10.9.0.5", 304, "b"),
        ],
        peers={"10.0.0.0/8": 0, "10.9.1.1/32": 257, "10.9.1.3/32": 258},
        policies=[nodes.policy("a", nodes.allow(258)), nodes.policy("b", nodes.allow(257, 258))],
        frontends=[
            nodes.service("10.96.0.1", "10.9.0.1", "10.9.0.5"),
            nodes.service("10.96.0.3", name="n"),
        ],
    )
    return nodes.node(old, *local[:4]), replace(nodes.node(new, local[0], *local[2:]), proxy_up=False)


def in_force(datapath: FakeDatapath) -> Any:
    """What packets meet: the policy of each pod whatever its set is called, and the rest of the maps."""
    held = contents(datapath)
    sets = {number: frozenset() for number in range(100)}
    for key, value in held.pop("policy").items():
        sets[key.set] |= {(key.identity, key.direction, key.page, value)}
    ends = held.pop("endpoint")
    pods = {n: (replace(entry, epoch=0, policy_set=0), sets[entry.policy_set]) for n, entry in ends.items()}
    at = dict(datapath.tables.backend.items())
    for key, entry in held["service"].items():
        behind = [at[entry.backend_base + n] for n in range(entry.backend_count)]
        held["service"][key] = (entry.flags, [(one.address, one.port) for one in behind])
    return held, pods, datapath.config


def hooks_of(datapath: FakeDatapath) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for hook, ifindex in datapath.attached:
        assert isinstance(ifindex, int)
        found.setdefault(ifindex, set()).add(hook)
    return found


def mirrors(reconciler: nodes.WholeReconciler, datapath: FakeDatapath) -> bool:
    seen = nodes.WholeReconciler(datapath, nodes.CONFIG, first_epoch=lambda: 1, interface_exists=lambda _: True)
    seen.read_back()
    fields = ("ipcache", "endpoint", "endpoint_by_ifindex", "endpoint_by_address", "endpoint_by_netns", "service")
    fields += ("backend", "sets", "policy_entries")
    return all(getattr(seen.realized, name) == getattr(reconciler.realized, name) for name in fields)


def heal(reconciler: nodes.WholeReconciler, datapath: FakeDatapath) -> None:
    """As the healer does within seconds: what the mirror says hangs there again."""
    for ifindex in reconciler.realized.hooks:
        datapath.attach_pod(ifindex)
    for ifindex in reconciler.realized.guests:
        datapath.attach_guest(ifindex)


def number_of_calls() -> int:
    datapath, numbers = FakeDatapath(), Numbers()
    kernel, reconciler = faults.Faults(datapath), make(datapath)
    old, new = before_and_after()
    reconciler.enforce(desired(old, numbers), 0.0)
    kernel.arm(1 << 30)
    reconciler.enforce(desired(new, numbers), 1.0)
    return kernel.calls


CALLS = number_of_calls()
ENFORCED = {"tc_from_pod", "tc_to_pod"}


def test_the_change_of_these_tests_has_every_kind_of_step() -> None:
    seen = set()
    for at in range(CALLS):
        datapath, numbers = FakeDatapath(), Numbers()
        kernel, reconciler = faults.Faults(datapath), make(datapath)
        old, new = before_and_after()
        reconciler.enforce(desired(old, numbers), 0.0)
        kernel.arm(at)
        with pytest.raises(DatapathError):
            reconciler.enforce(desired(new, numbers), 1.0)
        seen |= set(kernel.failed)
    assert {f"put {table}" for table in faults.TABLES} <= seen
    assert {
        "delete policy",
        "delete ipcache",
        "delete service",
        "delete endpoint",
        "delete endpoint_by_ifindex",
    } <= seen
    assert {"attach_pod", "attach_guest", "detach_pod", "configure"} <= seen


@pytest.mark.parametrize("at", range(CALLS))
def test_a_change_that_fails_at_any_step_leaves_what_was_in_force(at: int) -> None:
    datapath, numbers = FakeDatapath(), Numbers()
    kernel, reconciler = faults.Faults(datapath), make(datapath)
    old, new = before_and_after()
    reconciler.enforce(desired(old, numbers), 0.0)
    before = in_force(datapath)
    kernel.arm(at)
    with pytest.raises(DatapathError, match="no memory"):
        reconciler.enforce(desired(new, numbers), 1.0)
    assert reconciler.astray == ""
    assert in_force(datapath) == before
    assert mirrors(reconciler, datapath)
    hooks = hooks_of(datapath)
    assert hooks[11] == hooks[12] == hooks[14] == ENFORCED
    assert hooks[13] == {"tc_from_guest"}
    assert hooks.get(15, ENFORCED) == ENFORCED  # a pod that could not come is closed, or as it came
    reconciler.enforce(desired(new, numbers), 2.0)
    assert in_force(datapath)[1].keys() == {1, 3, 5}
    assert hooks_of(datapath) == {11: ENFORCED, 13: ENFORCED, 14: {"tc_from_guest"}, 15: ENFORCED}


@pytest.mark.parametrize("back", ["new", "old"])
@pytest.mark.parametrize("at", range(CALLS))
def test_what_cannot_be_taken_back_either_is_known_and_mended_by_the_next_change(at: int, back: str) -> None:
    datapath, numbers = FakeDatapath(), Numbers()
    kernel, reconciler = faults.Faults(datapath), make(datapath)
    old, new = before_and_after()
    reconciler.enforce(desired(old, numbers), 0.0)
    before, members = in_force(datapath), hooks_of(datapath)
    kernel.arm(at, lasting=2)
    with pytest.raises(DatapathError, match="no memory"):
        reconciler.enforce(desired(new, numbers), 1.0)
    assert bool(reconciler.astray) == (len(kernel.failed) == 2)
    want = desired(old if back == "old" else new, numbers)
    reconciler.enforce(want, 2.0)
    reconciler.sweep(2.0 + SET_GRACE_S)
    assert reconciler.astray == ""
    assert mirrors(reconciler, datapath)
    reference, other = FakeDatapath(), Numbers()
    second = make(reference)
    second.enforce(desired(old, other), 0.0)
    if back == "new":
        second.enforce(desired(new, other), 1.0)
    second.sweep(1.0 + SET_GRACE_S)
    assert in_force(datapath) == (before if back == "old" else in_force(reference))
    assert len(contents(datapath)["policy"]) == len(contents(reference)["policy"])
    heal(reconciler, datapath)
    assert hooks_of(datapath) == (members if back == "old" else hooks_of(reference))


def test_a_restarted_agent_that_fails_leaves_no_pod_open() -> None:
    """It does not know which hooks hang where; the pods that it finds in the maps are enforced."""
    old, new = before_and_after()
    for at in range(60):
        datapath, numbers = FakeDatapath(), Numbers()
        make(datapath).enforce(desired(old, numbers), 0.0)
        kernel, reconciler = faults.Faults(datapath), make(datapath, next_set=10)
        reconciler.read_back()
        kernel.arm(at)
        try:
            reconciler.enforce(desired(new, numbers), 1.0)
        except DatapathError:
            hooks = hooks_of(datapath)
            assert all(hooks[ifindex] == ENFORCED for ifindex in contents(datapath)["endpoint_by_ifindex"])
        else:
            assert at > CALLS / 2
            return
    raise AssertionError("it never came to its end")


def test_numbers_that_could_not_be_reserved_are_not_used() -> None:
    datapath, numbers, asked = FakeDatapath(), Numbers(), []

    def reserve(number: int) -> None:
        asked.append(number)
        if len(asked) == 1:
            raise OSError("disk full")

    reconciler = make(datapath, reserve=reserve)
    with pytest.raises(OSError, match="disk full"):
        reconciler.enforce(desired(node_with(), numbers), 0.0)
    assert contents(datapath)["endpoint"] == {}
    reconciler.enforce(desired(node_with(), numbers), 1.0)
    assert len(asked) == 2
