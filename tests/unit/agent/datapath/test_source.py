"""The unit is one text in which each line knows its file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.datapath import source
from agent.datapath.mapnames import SHAPES


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_own_headers_are_inlined_and_system_ones_left(tmp_path: Path) -> None:
    write(tmp_path, mesh_c='#include <linux/in.h>\n#include "a.h"\nint last;\n', a_h="int first;\n")
    lines = source.unit_text(tmp_path).splitlines()
    assert lines == [
        '#line 1 "mesh.c"',
        "#include <linux/in.h>",
        '#line 1 "a.h"',
        "int first;",
        '#line 3 "mesh.c"',
        "int last;",
    ]


def test_a_missing_or_circular_header_is_named(tmp_path: Path) -> None:
    write(tmp_path, mesh_c='#include "gone.h"\n')
    with pytest.raises(source.SourceError, match=r"gone\.h"):
        source.unit_text(tmp_path)
    write(tmp_path, mesh_c='#include "a.h"\n', a_h='#include "a.h"\n')
    with pytest.raises(source.SourceError, match="includes itself"):
        source.unit_text(tmp_path)


def test_the_real_unit_has_no_include_of_its_own_left() -> None:
    assert '#include "' not in source.unit_text()


def test_a_program_takes_what_it_shares_with_another_from_a_header() -> None:
    texts = {path.name: path.read_text() for path in (source.BPF_FOLDER / "prog").iterdir()}
    for name, text in texts.items():
        own = re.findall(r"^static [^;={(]*?(\w+)\(", text, re.MULTILINE)
        others = "".join(other for file, other in texts.items() if file != name)
        assert [function for function in own if re.search(rf"\b{function}\b", others)] == [], name


def test_every_map_that_can_fill_has_a_size_to_choose() -> None:
    sizes = source.map_entries()
    assert set(sizes) == {name for name, shape in SHAPES.items() if shape.can_fill}
    assert all(entries >= 4096 for entries in sizes.values())
    assert source.entries_flag("mesh_ct", 64) == "-DENTRIES_mesh_ct=64"


def test_hashes_follow_the_text(tmp_path: Path) -> None:
    write(tmp_path, mesh_c="int a;\n")
    before = source.unit_sha256(tmp_path)
    write(tmp_path, mesh_c="int b;\n")
    assert source.unit_sha256(tmp_path) != before
