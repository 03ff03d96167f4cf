"""The list of maps is that of the kernel unit."""

from __future__ import annotations

import re

from agent.datapath import mapnames, source


def test_the_list_is_that_of_the_unit() -> None:
    declared = set(re.findall(r"^MESH_MAP\(.*?(mesh_\w+),", source.unit_text(), re.MULTILINE))
    assert declared == set(mapnames.SHAPES)
    others = set(re.findall(r'section\("maps/\w+:" WEFT_PIN_MAPS "/(mesh_\w+)"\)', source.unit_text()))
    assert others == set(mapnames.OTHER_MAPS)
    assert all(len(name) <= 15 for name in declared | others)


def test_a_map_goes_by_three_names() -> None:
    assert [mapnames.map_of(name) for name in ("conntrack", "ct", "mesh_ct", "other")] == [*["mesh_ct"] * 3, None]


def test_fields_have_a_hash_of_their_own() -> None:
    hashes = {name: mapnames.fields_sha256(shape) for name, shape in mapnames.SHAPES.items()}
    assert hashes["mesh_ct"] != hashes["mesh_service"]
    assert hashes["mesh_ct"] == mapnames.fields_sha256(mapnames.SHAPES["mesh_ct"])
