"""Keeps the agent small: what the C library's allocator does with memory that Python and gRPC gave back.

Each thread would otherwise get an arena of its own, and a burst (a snapshot read, a plan made) would stay resident for
good. Linux with glibc; elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import functools
import gc
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_ARENAS = 1
_THRESHOLD_BYTES = 128 << 10
"""glibc's own first values. Setting them stops it from raising them as soon as a large block has been freed."""


@functools.cache
def _libc() -> Any | None:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def restrain() -> None:
    """Before any thread is started."""
    library = _libc()
    if library is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)
        library.mallopt(_M_TRIM_THRESHOLD, _THRESHOLD_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)


def trim() -> None:
    """Collect what a burst left behind and give free memory back to the system. Milliseconds."""
    gc.collect()
    library = _libc()
    if library is not None:
        library.malloc_trim(0)
