"""Entries as a person reads them."""

from __future__ import annotations

from ipaddress import ip_address

from agent.datapath import rawview
from agent.datapath.mapnames import SHAPES
from agent.datapath.tables import AddressKey
from mesh import layouts


def test_addresses_are_text_and_padding_is_hidden() -> None:
    key = layouts.SvcflowKey(endpoint=3, sport=80)
    key.saddr[:] = AddressKey(ip_address("10.0.0.1")).pack()
    shown = rawview.fields_of(layouts.SvcflowKey, bytes(key))
    assert shown == {"endpoint": 3, "sport": 80, "dport": 0, "saddr": "10.0.0.1", "daddr": "::"}
    assert "pad" not in rawview.fields_of(layouts.SvcflowEntry, bytes(8))


def test_a_name_of_sixteen_bytes_is_no_address() -> None:
    meta = layouts.MapMeta()
    meta.name[: len(b"mesh_ipcache")] = b"mesh_ipcache"
    assert rawview.fields_of(layouts.MapMeta, bytes(meta))["name"] == "mesh_ipcache"


def test_numbers_pack_to_the_size_of_the_map() -> None:
    assert rawview.pack(8, 5) == b"\x05" + bytes(7)
    assert rawview.unpack(4, b"\x01\x02\x00\x00") == 0x201
    assert rawview.fields_of(4, b"\x07\0\0\0") == {"value": 7}
    assert rawview.fields_of(layouts.DatapathMeta, bytes(64))["unit_sha256"] == "00" * 32


def test_a_value_per_cpu_is_shown_as_its_sum() -> None:
    """Each CPU counts by itself; a dump that showed the first one's part would hide the others'."""
    per_cpu = bytes(layouts.Counter(packets=2, bytes=10)) + bytes(layouts.Counter(packets=3, bytes=5))
    assert rawview.entry_of(SHAPES["mesh_counters"], bytes(4), per_cpu) == ({"value": 0}, {"packets": 5, "bytes": 15})
    gauges = (7).to_bytes(8, "little") + (1).to_bytes(8, "little")
    assert rawview.entry_of(SHAPES["mesh_gauges"], bytes(4), gauges)[1] == {"value": 8}
