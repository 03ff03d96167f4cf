"""Pinned maps and programs look as if another version of weft had made them."""

from __future__ import annotations

from pathlib import Path

from agent.datapath import libbpf
from mesh import layouts


def forget(maps: Path, *, unit: bool = False, layout: bool = False) -> None:
    """The unit's text was another one, or the layouts of its maps."""
    table = libbpf.Map(str(maps / "mesh_meta"))
    meta = layouts.DatapathMeta.from_buffer_copy(table.lookup(bytes(4)) or b"")
    if unit:
        meta.unit_sha256[0] ^= 1
    if layout:
        meta.layout_sha256[0] ^= 1
    table.update(bytes(4), bytes(meta))
    table.close()
