"""A map's errno becomes the error that a caller can act upon (the maps themselves: tests/bpf)."""

from __future__ import annotations

import errno

import pytest

from agent.datapath import kerneltables
from agent.datapath.interface import DatapathError, MapFull
from agent.datapath.libbpf import KernelError


@pytest.mark.parametrize("number", [errno.E2BIG, errno.ENOSPC])
def test_a_full_map_says_so(number: int) -> None:
    with pytest.raises(MapFull, match=r"mesh_ct is full \(10 entries\)"), kerneltables._told("mesh_ct", 10):
        raise KernelError(number, "write")


def test_anything_else_names_the_map() -> None:
    with pytest.raises(DatapathError, match="map mesh_ct: ") as caught, kerneltables._told("mesh_ct", 10):
        raise KernelError(errno.EPERM, "write")
    assert not isinstance(caught.value, MapFull)
