"""The mirror of the maps."""

from __future__ import annotations

from agent.datapath.tables import IpcacheEntry, IpcacheKey, PolicyEntry, PolicyKey
from agent.realized import Realized
from tests.support import nodes

KEY = PolicyKey(set=1, identity=256, direction=1, protocol=6, port=80, port_bits=16)


def test_policy_is_kept_by_set_and_identity_and_counted() -> None:
    mirror = Realized()
    mirror.put("policy", KEY, PolicyEntry(2, 7))
    mirror.put("policy", KEY, PolicyEntry(1, 7))
    assert mirror.size("policy") == 1
    assert mirror.get("policy", KEY) == PolicyEntry(1, 7)
    assert mirror.sets == {1: {256: {(1, 6, 80, 16): PolicyEntry(1, 7)}}}


def test_a_set_without_entries_is_gone() -> None:
    mirror = Realized()
    mirror.put("policy", KEY, PolicyEntry(2, 7))
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
