"""The comparison of the compiler's view of a map with ours (loading itself: tests/bpf/test_load.py)."""

from __future__ import annotations

import ctypes

from agent.datapath import load
from agent.datapath.tables import Counter


class Same(ctypes.Structure):
    _fields_ = [("packets", ctypes.c_uint64), ("bytes", ctypes.c_uint64)]


class Renamed(ctypes.Structure):
    _fields_ = [("packets", ctypes.c_uint64), ("others", ctypes.c_uint64)]


class Moved(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint64), ("packets", ctypes.c_uint64)]


def test_a_difference_is_named_by_its_field() -> None:
    assert load._difference(Same, Counter) == ""
    assert load._difference(Renamed, Counter) == "no field bytes"
    assert "field packets at 8" in load._difference(Moved, Counter)
    assert load._difference(ctypes.c_uint64, 4) == "8 bytes, not 4"
    assert load._difference(Same * 2, Counter) == ""  # one per CPU


def test_a_log_is_filled_by_what_writes_past_python(tmp_path: object) -> None:
    import os
    import tempfile

    with tempfile.TemporaryFile() as log:
        with load._standard_error_to(log):
            os.write(2, b"from C\n")
        log.seek(0)
        assert b"from C\n" in log.read()
