"""What every implementation of `interface.Tables` must do; the fake and the kernel both inherit these tests.

A subclass gives the fixture `tables`, in which endpoint_by_netns has room for a known number of entries.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from agent.datapath.interface import DatapathError, MapFull, Tables
from agent.datapath.tables import (
    AddressKey,
    IpcacheEntry,
    IpcacheKey,
    PolicyKey,
    PolicyPage,
    PolicyStep,
    ServiceEntry,
    ServiceKey,
)


class TablesContract:
    def test_put_replaces_and_delete_forgives(self, tables: Tables) -> None:
        key = AddressKey(ip_address("10.1.0.2"))
        tables.endpoint_by_address.put(key, 1)
        tables.endpoint_by_address.put(key, 2)
        assert tables.endpoint_by_address.get(key) == 2
        tables.endpoint_by_address.delete(key)
        tables.endpoint_by_address.delete(key)
        assert tables.endpoint_by_address.get(key) is None

    def test_many_at_once(self, tables: Tables) -> None:
        entries = {
            PolicyKey(set=8, identity=number, direction=1): PolicyPage.of(PolicyStep(6, 80, 2, number))
            for number in range(1, 5001)
        }
        tables.policy.put_many(entries)
        assert dict(tables.policy.items()) == entries
        tables.policy.delete_many(list(entries))
        assert list(tables.policy.items()) == []

    def test_prefixes_of_both_families_keep_apart(self, tables: Tables) -> None:
        entries = {
            IpcacheKey(ip_network(text)): IpcacheEntry(number)
            for number, text in enumerate(("::/0", "0.0.0.0/0", "10.0.0.0/8", "fd00::/8"))
        }
        tables.ipcache.put_many(entries)
        assert dict(tables.ipcache.items()) == entries
        tables.ipcache.delete_many(list(entries))

    def test_a_full_map_says_so(self, tables: Tables) -> None:
        table = tables.endpoint_by_netns
        room = table.max_entries
        table.put_many(dict.fromkeys(range(1, room + 1), 1))
        with pytest.raises(MapFull, match="mesh_ep_ns is full"):
            table.put(room + 1, 1)
        table.put(1, 2)  # what is there can still be changed
        table.delete_many(list(range(1, room + 1)))

    def test_a_dump_shows_fields_by_name(self, tables: Tables) -> None:
        tables.service.put(ServiceKey(ip_address("10.96.0.1"), 80, 6), ServiceEntry(5, 1, 2))
        ((key, value),) = tables.by_name("service").raw_items()
        assert key == {"addr": "10.96.0.1", "port": 80, "protocol": 6}
        assert value == {"service": 5, "backend_base": 1, "backend_count": 2, "flags": 0}
        tables.service.delete(ServiceKey(ip_address("10.96.0.1"), 80, 6))

    def test_maps_go_by_short_and_long_names(self, tables: Tables) -> None:
        assert tables.by_name("conntrack").name == tables.by_name("ct").name == tables.by_name("mesh_ct").name
        with pytest.raises(DatapathError, match="mesh_ipcache"):
            tables.by_name("nonsense")
        assert "mesh_policy" in tables.names()
