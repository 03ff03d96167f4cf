"""The mirror of the maps."""

from __future__ import annotations

from agent.datapath.tables import IpcacheEntry, IpcacheKey, PolicyKey, PolicyPage, PolicyStep
from agent.realized import Realized
from tests.support import nodes

KEY = PolicyKey(set=1, identity=256, direction=1)
ALLOW, DENY = (PolicyPage.of(PolicyStep(0, 0, flags, 7)) for flags in (2, 1))


def test_policy_is_kept_by_set_and_identity_and_counted() -> None:
    mirror = Realized()
    mirror.put("policy", KEY, ALLOW)
    mirror.put("policy", KEY, DENY)
    assert mirror.size("policy") == 1
    assert mirror.get("policy", KEY) == DENY
    assert mirror.sets == {1: {256: {(1, 0): DENY}}}


def test_a_set_without_entries_is_gone() -> None:
    mirror = Realized()
    mirror.put("policy", KEY, ALLOW)
    mirror.delete("policy", KEY)
    mirror.delete("policy", KEY)
    assert (mirror.sets, mirror.size("policy")) == ({}, 0)


def test_other_tables_are_plain() -> None:
    mirror = Realized()
    key = IpcacheKey(nodes.prefix("10.0.0.1/32"))
    mirror.put("ipcache", key, IpcacheEntry(5))
    assert mirror.get("ipcache", key) == IpcacheEntry(5)
    mirror.delete("ipcache", key)
    assert mirror.size("ipcache") == 0
