"""Reads what `-f` names: files, directories (all *.yaml, *.yml and *.json below, as `lab up` does), `-` for standard
input.

The text is not parsed here: the controller is the door, and it refuses with file, object, field and reason.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.errors import Problem, Refused

if TYPE_CHECKING:
    from cli.client import Manifest

SUFFIXES = (".yaml", ".yml", ".json")
LARGEST_FILE_BYTES = 8 << 20
"""What the controller takes."""
STDIN = "<stdin>"


def read_all(paths: Sequence[str]) -> list[Manifest]:
    """Every manifest below `paths`, in the order given and by name within a directory; each file once.

    UsageError for a path that does not exist; Refused for one that holds nothing readable.
    """
    from cli.client import Manifest  # brings gRPC, which `--help` does not need

    found: list[Manifest] = []
    seen: set[Path] = set()
    for path in paths:
        if path == "-":
            found.append(Manifest(STDIN, _decode(sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1), STDIN)))
            continue
        for file in _files(path):
            if file.resolve() not in seen:
                seen.add(file.resolve())
                found.append(Manifest(str(file), _read(file)))
    return found


def _files(given: str) -> list[Path]:
    if not given:
        raise click.UsageError("-f '': an empty path; name a file, a directory, or - for standard input")
    path = Path(given)
    if not path.exists():
        raise click.UsageError(f"-f {path}: no such file or directory")
    if path.is_fifo() and not path.is_relative_to("/dev") and not path.is_relative_to("/proc"):
        # One that nobody writes to would be waited for without end. The shell's own, /dev/fd/N, have their writer.
        raise click.UsageError(f"-f {path}: a named pipe; send it to standard input and write -f -")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise Refused([Problem(file=str(path), reason=f"the directory holds no {', '.join(SUFFIXES)} file")])
    return files


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return _decode(stream.read(LARGEST_FILE_BYTES + 1), str(file))
    except OSError as error:
        raise Refused([Problem(file=str(file), reason=f"cannot be read: {error.strerror}")]) from error


def _decode(data: bytes, file: str) -> str:
    if len(data) > LARGEST_FILE_BYTES:
        raise Refused([Problem(file=file, reason=f"larger than {LARGEST_FILE_BYTES >> 20} MiB; split it")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused([Problem(file=file, reason=f"byte {error.start}: not UTF-8 text")]) from error
