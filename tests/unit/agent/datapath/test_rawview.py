"""Entries as a person reads them."""

from __future__ import annotations

from ipaddress import ip_address

from agent.datapath import rawview
from agent.datapath.tables import AddressKey
from mesh import layouts


def test_addresses_are_text_and_padding_is_hidden() -> None:
    key = layouts.SvcflowKey(endpoint=3, sport=80)
    key.saddr[:] = AddressKey(ip_address("10.0.0.1")).pack()
    shown = rawview.fields_of(layouts.SvcflowKey, bytes(key))
    assert shown == {"endpoint": 3, "sport": 80, "dport": 0, "saddr": "10.0.0.1", "daddr": "::"}
    assert "pad" not in rawview.fields_of(layouts.SvcflowEntry, bytes(8))


def test_numbers_pack_to_the_size_of_the_map() -> None:
    assert rawview.pack(8, 5) == b"\x05" + bytes(7)
    assert rawview.unpack(4, b"\x01\x02\x00\x00") == 0x201
    assert rawview.fields_of(4, b"\x07\0\0\0") == {"value": 7}
    assert rawview.fields_of(layouts.DatapathMeta, bytes(64))["unit_sha256"] == "00" * 32
