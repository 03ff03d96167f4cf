"""The kernel unit as one text: the project's own headers inlined, each line still knowing the file it came from.

bcc edits map calls only in the main file and loses its edits to included ones, so a unit with headers compiles and then
fails to load. `#line` keeps compiler messages pointing at the right file. System headers are left to the compiler.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

BPF_FOLDER = Path(__file__).resolve().parents[2] / "bpf"
UNIT = "mesh.c"
LAYOUTS = "lib/layouts.h"
MAPS = "lib/maps.h"

_ENTRIES = re.compile(r"^#define ENTRIES_(mesh_\w+) (\d+)$", re.MULTILINE)
_OWN_INCLUDE = re.compile(r'\s*#include "([^"]+)"\s*')


class SourceError(Exception):
    """A file of the unit is missing or includes itself."""


def unit_text(folder: Path = BPF_FOLDER) -> str:
    """The whole unit, ready for bcc."""
    return _inlined(folder, UNIT, ())


def _inlined(folder: Path, name: str, above: tuple[str, ...]) -> str:
    if name in above:
        raise SourceError(f"{name} includes itself, by way of {' -> '.join(above)}")
    try:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SourceError(f"cannot read {folder / name}, a part of the kernel unit: {error.strerror}") from error
    out = [f'#line 1 "{name}"']
    for number, line in enumerate(lines, 1):
        if match := _OWN_INCLUDE.fullmatch(line):
            out += [_inlined(folder, match[1], (*above, name)).rstrip("\n"), f'#line {number + 1} "{name}"']
        else:
            out.append(line)
    return "\n".join(out) + "\n"


def unit_sha256(folder: Path = BPF_FOLDER) -> bytes:
    """Changes whenever any line of the unit does."""
    return hashlib.sha256(unit_text(folder).encode()).digest()


def layout_sha256(folder: Path = BPF_FOLDER) -> bytes:
    """Changes with the layouts: then entries of the pinned maps cannot simply be kept."""
    return hashlib.sha256((folder / LAYOUTS).read_bytes()).digest()


def map_entries(folder: Path = BPF_FOLDER) -> dict[str, int]:
    """The maps whose size can be chosen, and the size that each has unless told otherwise."""
    return {name: int(size) for name, size in _ENTRIES.findall((folder / MAPS).read_text(encoding="utf-8"))}


def entries_flag(name: str, entries: int) -> str:
    """What tells the compiler another size."""
    return f"-DENTRIES_{name}={entries}"
