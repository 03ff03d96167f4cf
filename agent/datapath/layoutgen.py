"""Writes `mesh/layouts.py` from `bpf/lib/layouts.h`, so that kernel and Python cannot disagree about a byte.

Reads the strict subset of C that the header promises: fixed-width types, arrays, flat structs, enums and #define of
plain numbers. Anything else, and any padding that the compiler would add silently, is an error with the line it is on.
Run as `python -m agent.datapath.layoutgen`; with `--check` it only says whether the checked-in file is fresh.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

HEADER = Path(__file__).resolve().parents[2] / "bpf" / "lib" / "layouts.h"
OUTPUT = Path(__file__).resolve().parents[2] / "mesh" / "layouts.py"

_SIZES = {"__u8": 1, "__u16": 2, "__u32": 4, "__u64": 8, "__be16": 2, "__be32": 4}
_CTYPES = {
    "__u8": "ctypes.c_uint8",
    "__u16": "ctypes.c_uint16",
    "__u32": "ctypes.c_uint32",
    "__u64": "ctypes.c_uint64",
    "__be16": "_be16",
    "__be32": "_be32",
}
_FIELD = re.compile(r"(__\w+)\s+(\w+)(?:\[(\d+)\])?;")
_ASSERT = re.compile(r"_Static_assert\(sizeof\(struct (\w+)\) == (\d+), \"(\w+)\"\);")


class LayoutError(Exception):
    """The header leaves the subset. The text starts with file and line."""


@dataclass(frozen=True, slots=True)
class Field:
    type: str
    name: str
    count: int | None

    @property
    def size(self) -> int:
        return _SIZES[self.type] * (self.count or 1)


@dataclass(frozen=True, slots=True)
class Struct:
    name: str
    comment: str
    fields: tuple[Field, ...]

    @property
    def size(self) -> int:
        return sum(field.size for field in self.fields)


@dataclass(frozen=True, slots=True)
class Enum:
    name: str
    comment: str
    members: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Header:
    structs: tuple[Struct, ...]
    enums: tuple[Enum, ...]
    defines: tuple[tuple[str, int], ...]


def parse(text: str, file: str = "layouts.h") -> Header:
    """Read the header. Raises LayoutError."""
    structs: list[Struct] = []
    enums: list[Enum] = []
    defines: list[tuple[str, int]] = []
    asserted: set[str] = set()
    comment = ""
    lines = _without_trailing_comments(text)
    position = 0
    while position < len(lines):
        where = f"{file}:{position + 1}"
        line = lines[position].strip()
        position += 1
        if not line:
            comment = ""
        elif line.startswith("/*"):
            block = [line]
            while "*/" not in block[-1]:
                block.append(lines[position].strip())
                position += 1
            comment = " ".join(part.strip("/* ").strip() for part in block).strip()
        elif match := re.fullmatch(r"#define (\w+) (\d+)", line):
            defines.append((match[1], int(match[2])))
        elif line.startswith(("#ifndef", "#endif")) or re.fullmatch(r"#define \w+", line):
            continue
        elif match := re.fullmatch(r"enum (\w+) \{", line):
            body, position = _body(lines, position, where)
            enums.append(Enum(match[1], comment, tuple(_member(row, at, file) for row, at in body)))
        elif match := re.fullmatch(r"struct (\w+) \{", line):
            body, position = _body(lines, position, where)
            structs.append(_checked(Struct(match[1], comment, tuple(_field(row, at, file) for row, at in body)), where))
        elif match := _ASSERT.fullmatch(line):
            if not structs or structs[-1].name != match[1] or match[3] != match[1]:
                raise LayoutError(f"{where}: the size of struct {match[1]} must stand right behind it")
            if structs[-1].size != int(match[2]):
                raise LayoutError(f"{where}: struct {match[1]} has {structs[-1].size} bytes, not {match[2]}")
            asserted.add(match[1])
        else:
            raise LayoutError(f"{where}: outside the subset that layoutgen reads: {line}")
    for struct in structs:
        if struct.name not in asserted:
            raise LayoutError(f"{file}: struct {struct.name} is not followed by a _Static_assert of its size")
    return Header(tuple(structs), tuple(enums), tuple(defines))


def _without_trailing_comments(text: str) -> list[str]:
    return [re.sub(r"(?<=\S)\s*/\*.*?\*/\s*$", "", line) for line in text.splitlines()]


def _body(lines: list[str], position: int, where: str) -> tuple[list[tuple[str, int]], int]:
    rows: list[tuple[str, int]] = []
    while position < len(lines):
        line = lines[position].strip()
        position += 1
        if line == "};":
            return rows, position
        if line:
            rows.append((line, position))
    raise LayoutError(f"{where}: no closing brace")


def _member(row: str, at: int, file: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\w+) = (\d+),", row)
    if match is None:
        raise LayoutError(f"{file}:{at}: an enum member must read NAME = NUMBER, but is: {row}")
    return match[1], int(match[2])


def _field(row: str, at: int, file: str) -> Field:
    match = _FIELD.fullmatch(row)
    if match is None or match[1] not in _SIZES:
        raise LayoutError(f"{file}:{at}: not a field of fixed width: {row}")
    return Field(match[1], match[2], int(match[3]) if match[3] else None)


def _checked(struct: Struct, where: str) -> Struct:
    offset = 0
    for field in struct.fields:
        align = _SIZES[field.type]
        if offset % align:
            raise LayoutError(f"{where}: struct {struct.name} has implicit padding before field {field.name}")
        offset += field.size
    if offset % max((_SIZES[field.type] for field in struct.fields), default=1):
        raise LayoutError(f"{where}: struct {struct.name} has implicit padding at its end")
    return struct


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _docstring(comment: str, indent: str) -> list[str]:
    words = comment.split()
    rows: list[str] = []
    row = indent + '"""'
    for word in words:
        if len(row) + len(word) + 1 > 115 and row.strip() != '"""':
            rows.append(row.rstrip())
            row = indent
        row += word + " "
    return [*rows, row.rstrip() + '"""']


def render(header: Header, text: str) -> str:
    """The Python module, as text."""
    out = [
        '"""Layouts and constants shared with the kernel. GENERATED from bpf/lib/layouts.h; do not edit.',
        "",
        "`python -m agent.datapath.layoutgen` writes this file; `--check` compares it. Fields of type __be16 and",
        "__be32 are big-endian, so every number here reads and writes as a host value.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import ctypes",
        "from enum import IntEnum",
        "from typing import Any",
        "",
        "_be16: Any = ctypes.c_uint16.__ctype_be__",
        "_be32: Any = ctypes.c_uint32.__ctype_be__",
        "",
        f'LAYOUT_SHA256 = "{hashlib.sha256(text.encode()).hexdigest()}"',
        '"""Of the header this file was made from."""',
        "",
    ]
    out += [f"{name} = {value}" for name, value in header.defines]
    for enum in header.enums:
        out += ["", "", f"class {_camel(enum.name)}(IntEnum):"]
        if enum.comment:
            out += [*_docstring(enum.comment, "    "), ""]
        out += [f"    {name} = {value}" for name, value in enum.members]
    out += [""]
    for enum in header.enums:
        out += [""] + [f"{name} = {value}" for name, value in enum.members]
    for struct in header.structs:
        out += ["", "", f"class {_camel(struct.name)}(ctypes.Structure):"]
        if struct.comment:
            out += [*_docstring(struct.comment, "    "), ""]
        out += ["    _fields_ = ["]
        for field in struct.fields:
            kind = _CTYPES[field.type] + (f" * {field.count}" if field.count else "")
            out += [f'        ("{field.name}", {kind}),']
        out += ["    ]"]
    out += ["", "", "STRUCTS: dict[str, type[ctypes.Structure]] = {"]
    out += [f'    "{struct.name}": {_camel(struct.name)},' for struct in header.structs]
    out += ["}", '"""By the name in C."""', ""]
    return "\n".join(out)


def main(arguments: list[str]) -> int:
    text = HEADER.read_text()
    try:
        wanted = render(parse(text), text)
    except LayoutError as error:
        print(f"layoutgen: {error}", file=sys.stderr)
        return 1
    if "--check" in arguments:
        if OUTPUT.exists() and OUTPUT.read_text() == wanted:
            return 0
        print(f"layoutgen: {OUTPUT} is stale; run python -m agent.datapath.layoutgen", file=sys.stderr)
        return 1
    OUTPUT.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
