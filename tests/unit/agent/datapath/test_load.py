"""The comparison of the compiler's view of a map with ours (loading itself: tests/bpf/test_load.py)."""

from __future__ import annotations

import ctypes

from agent.datapath import load
from agent.datapath.tables import PolicyEntry


class Same(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint32), ("rules", ctypes.c_uint32)]


class Renamed(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint32), ("others", ctypes.c_uint32)]


class Moved(ctypes.Structure):
    _fields_ = [("rules", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


def test_a_difference_is_named_by_its_field() -> None:
    assert load._difference(Same, PolicyEntry) == ""
    assert load._difference(Renamed, PolicyEntry) == "no field rules"
    assert "field flags at 4" in load._difference(Moved, PolicyEntry)
    assert load._difference(ctypes.c_uint64, 4) == "8 bytes, not 4"
    assert load._difference(Same * 2, PolicyEntry) == ""  # one per CPU


def test_a_log_is_filled_by_what_writes_past_python(tmp_path: object) -> None:
    import os
    import tempfile

    with tempfile.TemporaryFile() as log:
        with load._standard_error_to(log):
            os.write(2, b"from C\n")
        log.seek(0)
        assert log.read() == b"from C\n"
