"""The stubs checked in are those that mesh.proto gives."""

from __future__ import annotations

from pathlib import Path

from mesh.api.generate import ROOT, STUBS, generate


def test_stubs_are_fresh(tmp_path: Path) -> None:
    generate(tmp_path)
    for name in STUBS:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), f"{name}: run `make generate`"
