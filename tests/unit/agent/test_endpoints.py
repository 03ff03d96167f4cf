"""The life of an attachment, and the registry that survives the agent."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.endpoints import TRANSITIONS, Endpoints, Life, Step, WrongStep, advance, missing_parts, recover
from agent.errors import EndpointRefused
from tests.support import nodes

POD = nodes.pod("a", "10.9.0.1", 300, "a")
KNOWN = nodes.node(nodes.snapshot(pods=[POD], policies=[nodes.policy("a")]), nodes.local("a", 1, 11))
UNKNOWN = nodes.node(nodes.snapshot(), nodes.local("a", 1, 11))
EXEMPT = nodes.node(nodes.snapshot(pods=[replace(POD, enforced=False)]), nodes.local("a", 1, 11))


@pytest.mark.parametrize("life", list(Life))
@pytest.mark.parametrize("step", list(Step))
def test_every_step_is_in_the_table_or_an_error_with_both_names(life: Life, step: Step) -> None:
    if (life, step) in TRANSITIONS:
        assert advance(life, step) is TRANSITIONS[life, step]
    else:
        with pytest.raises(WrongStep, match=f"{life.value} cannot {step.value}"):
            advance(life, step)


def test_gone_is_the_end() -> None:
    assert not [key for key in TRANSITIONS if key[0] is Life.GONE]
    assert all((life, Step.REMOVE) in TRANSITIONS for life in Life if life is not Life.GONE)


def made(tmp_path: Path) -> Endpoints:
    return Endpoints(tmp_path / "endpoints.json")


def test_discovered_identified_enforced(tmp_path: Path) -> None:
    endpoints = made(tmp_path)
    endpoints.discover("shop/a")
    endpoints.identify(UNKNOWN)
    assert endpoints.life("shop/a") is Life.DISCOVERED
    endpoints.identify(KNOWN)
    assert endpoints.life("shop/a") is Life.IDENTIFIED
    endpoints.enforced(KNOWN)
    assert endpoints.life("shop/a") is Life.ENFORCED


def test_a_pod_that_the_controller_forgets_is_denied_again(tmp_path: Path) -> None:
    endpoints = made(tmp_path)
    endpoints.discover("shop/a")
    endpoints.identify(KNOWN)
    endpoints.enforced(KNOWN)
    endpoints.identify(UNKNOWN)
    assert endpoints.life("shop/a") is Life.DISCOVERED


def test_enrolment_goes_both_ways(tmp_path: Path) -> None:
    endpoints = made(tmp_path)
    endpoints.discover("shop/a")
    for state, expected in ((EXEMPT, Life.EXEMPT), (KNOWN, Life.ENFORCED), (EXEMPT, Life.EXEMPT)):
        endpoints.identify(state)
        endpoints.enforced(state)
        assert endpoints.life("shop/a") is expected


def test_who_waits_is_told_when_policy_is_in_force(tmp_path: Path) -> None:
    async def story() -> Life:
        endpoints = made(tmp_path)
        endpoints.discover("shop/a")
        waiting = asyncio.ensure_future(endpoints.settled("shop/a"))
        await asyncio.sleep(0)
        endpoints.identify(KNOWN)
        await asyncio.sleep(0)
        assert not waiting.done()
        endpoints.enforced(KNOWN)
        return await waiting

    assert asyncio.run(story()) is Life.ENFORCED


def test_who_waits_for_a_pod_that_leaves_is_told_too(tmp_path: Path) -> None:
    async def story() -> Life:
        endpoints = made(tmp_path)
        endpoints.discover("shop/a")
        waiting = asyncio.ensure_future(endpoints.settled("shop/a"))
        await asyncio.sleep(0)
        endpoints.remove("shop/a")
        return await waiting

    assert asyncio.run(story()) is Life.GONE


def test_numbers_are_stable_over_a_restart_and_not_soon_reused(tmp_path: Path) -> None:
    first = made(tmp_path)
    assert (first.id_for("shop/a"), first.id_for("shop/b"), first.id_for("shop/a")) == (1, 2, 1)
    first.save([nodes.local("a", 1, 11)])
    second = made(tmp_path)
    assert second.load() == (nodes.local("a", 1, 11),)
    assert (second.id_for("shop/b"), second.id_for("shop/c")) == (2, 3)


def test_reserved_set_numbers_survive(tmp_path: Path) -> None:
    first = made(tmp_path)
    first.reserve_sets(300)
    second = made(tmp_path)
    second.load()
    assert second.reserved_set == 300


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps({"version": 99}), json.dumps({"version": 1})])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "endpoints.json").write_text(text)
    with pytest.raises(EndpointRefused, match=r"endpoints\.json"):
        made(tmp_path).load()


def test_kernel_entries_without_a_record_are_recovered_by_address() -> None:
    state = replace(KNOWN, local={})
    (found,) = recover(state, {7: (11, 99, frozenset({"10.9.0.1"}))}, {11: "veth-a"})
    assert (found.key, found.id, found.host_ifname, found.netns_cookie) == ("shop/a", 7, "veth-a", 99)


def test_kernel_entries_that_nobody_knows_are_kept_and_those_of_gone_interfaces_not() -> None:
    state = replace(UNKNOWN, local={})
    found = recover(state, {7: (11, 99, frozenset()), 8: (12, 98, frozenset())}, {11: "veth-a"})
    assert [item.name for item in found] == ["unknown-7"]


def test_an_attachment_whose_interface_is_gone_says_so() -> None:
    pod = replace(nodes.local("a", 1, 11), netns="")
    assert missing_parts(pod, {11: "veth-a"}) is None
    assert "veth-a" in str(missing_parts(pod, {11: "other"}))
    assert "namespace" in str(missing_parts(replace(pod, netns="/nonexistent"), {11: "veth-a"}))
