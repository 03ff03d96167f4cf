"""From state to map contents."""

from __future__ import annotations

from dataclasses import replace

from agent.datapath.tables import BackendEntry, IpcacheEntry, IpcacheKey, ServiceKey
from agent.desired import Numbers, desired, rules_text
from mesh.layouts import CONFIG_DROP_SILENTLY, CONFIG_PROXY_UP, ENDPOINT_HAS_V4, IPCACHE_LOCAL
from mesh.model import RuleRef
from mesh.snapshot import MeshSettings
from tests.support import nodes

STATE = nodes.node(
    nodes.snapshot(
        pods=[nodes.pod("a", "10.9.0.1", 300, "a")],
        peers={"10.9.1.1/32": 256},
        policies=[nodes.policy("a", nodes.allow(256)), nodes.policy("unused")],
        frontends=[nodes.service("10.96.0.1", "10.9.0.1", "10.9.1.1")],
    ),
    nodes.local("a", 1, 11),
)


def test_ipcache_always_holds_the_world() -> None:
    want = desired(nodes.node(nodes.snapshot()), Numbers())
    assert want.ipcache == {
        IpcacheKey(nodes.prefix("0.0.0.0/0")): IpcacheEntry(2),
        IpcacheKey(nodes.prefix("::/0")): IpcacheEntry(2),
    }


def test_own_pods_and_own_addresses_are_marked_local() -> None:
    state = replace(STATE, node_addresses=frozenset({nodes.address("192.0.2.7")}))
    ipcache = desired(state, Numbers()).ipcache
    assert ipcache[IpcacheKey(nodes.prefix("10.9.0.1/32"))] == IpcacheEntry(300, IPCACHE_LOCAL, ifindex=11)
    assert ipcache[IpcacheKey(nodes.prefix("192.0.2.7/32"))] == IpcacheEntry(1, IPCACHE_LOCAL)
    assert ipcache[IpcacheKey(nodes.prefix("10.9.1.1/32"))] == IpcacheEntry(256)


def test_only_policies_of_pods_here_are_compiled() -> None:
    want = desired(STATE, Numbers())
    assert list(want.policies) == ["a"]
    assert want.endpoints[1].flags == ENDPOINT_HAS_V4
    assert want.endpoints[1].identity4 == 300


def test_unchanged_policy_is_not_compiled_again() -> None:
    numbers = Numbers()
    first = desired(STATE, numbers)
    assert desired(STATE, numbers, first).contents["a"] is first.contents["a"]  # type: ignore[index]


def test_a_service_has_its_backends_and_a_number_that_names_it() -> None:
    numbers = Numbers()
    want = desired(STATE, numbers)
    found = want.services[ServiceKey(nodes.address("10.96.0.1"), 80, 6)]
    assert found.backends == (
        BackendEntry(nodes.address("10.9.0.1"), 8080),
        BackendEntry(nodes.address("10.9.1.1"), 8080),
    )
    assert numbers.services.item(found.number) == "shop/web"


def test_the_address_of_a_service_is_marked_whole_so_that_other_ports_are_refused() -> None:
    whole = desired(STATE, Numbers()).services[ServiceKey(nodes.address("10.96.0.1"), 0, 0)]
    assert whole.backends == ()


def test_config_flags_follow_the_proxy_and_the_feedback() -> None:
    assert desired(STATE, Numbers()).config_flags == CONFIG_PROXY_UP
    silent = replace(STATE.snapshot, settings=MeshSettings(deny_feedback="Drop"))
    state = replace(STATE, proxy_up=False, snapshot=silent)
    assert desired(state, Numbers()).config_flags == CONFIG_DROP_SILENTLY


def test_rules_differ_in_text_when_they_differ_at_all() -> None:
    one = RuleRef(policy="a/b", kind="MeshPolicy", rule="ingress[0]")
    assert rules_text((one,)) != rules_text((replace(one, rule="ingress[1]"),))
    assert rules_text((one, one)) != rules_text((one,))
