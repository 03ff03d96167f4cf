"""Compiles the kernel unit, loads every program, pins programs and maps, and exits. The only importer of bcc.

LLVM costs 140 MB of memory, so this runs as a process of its own: `python -m agent.datapath.load --instance NAME
--bpffs PATH`. Maps that are pinned already are kept when layouts and sizes agree; when one changed, new maps are made
beside them, entries of unchanged maps are copied, and the pins change places at the end, so that attached programs keep
running on what they have until they are replaced. Unchanged maps that the programs write are not copied: old and new
programs share them. Exit 0: done. Exit 1: one sentence on standard error says why not, followed by the end of the
compiler's or verifier's log.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from agent.datapath import libbpf, source, stubheaders
from agent.datapath.mapnames import SHAPES, MapShape, fields_sha256
from agent.datapath.programs import CGROUP_PROGRAMS, NETNS_PROGRAMS, SOCK_OPS, TC_PROGRAMS, pin_folder
from mesh import layouts

_LOG_TAIL_LINES = 25
_SK_LOOKUP = 30  # enum bpf_prog_type; bcc 0.26 has no name for it
_NOT_COPIED = {"mesh_meta", "mesh_map_meta"}
_COMPILE_FLAGS = ("-Wno-unused-function", "-Xclang", "-disable-llvm-passes")
"""bcc optimises the whole unit itself, at -O3. Where clang has done so before, that costs the compiler a quarter more
time, and the kernel walks through twice as many instructions to verify tc's programs."""
_NO_LINES, _LINES = "-g0", "-g"
"""Carrying source lines along takes a third of the compiler's time, and only the log of a refusal shows them."""


class LoadError(Exception):
    """The unit could not be loaded; the text is the sentence for the operator."""


def load(instance: str, bpffs: str, log: BinaryIO, sizes: Mapping[str, int]) -> None:
    """Do all of it, or leave everything as it was. Raises LoadError; `log` holds what compiler or verifier said."""
    folder = pin_folder(bpffs, instance)
    first = not folder.exists()
    try:
        _load_into(folder, log, sizes)
    except BaseException:
        if first:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()  # stays while other instances are in it
        raise


def _load_into(folder: Path, log: BinaryIO, sizes: Mapping[str, int]) -> None:
    maps = folder / "maps"
    for part in ("maps", "progs", "links"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    fresh = maps
    old = _pinned_shapes(maps)
    if _layout_changed(maps) or _size_changed(maps, sizes):
        fresh = folder / "maps-new"
    try:
        unit, shared = _compile_beside(maps, fresh, old, log, sizes)
        _compare_layouts(unit)
        try:
            programs = _load_programs(unit, log)
        except LoadError:
            _explain(str(fresh), log, sizes)
            raise
        if fresh is not maps:
            _copy_entries(maps, fresh, old, shared)
            _remove(folder / "maps-old")  # of a loader that was killed here
            maps.rename(folder / "maps-old")
            fresh.rename(maps)
            _remove(folder / "maps-old")
        _pin_programs(programs, folder / "progs")
    except BaseException:
        if fresh is not maps:
            _remove(fresh)
        raise
    _write_meta(maps)


def _compile_beside(
    maps: Path, fresh: Path, old: Mapping[str, bytes], log: BinaryIO, sizes: Mapping[str, int]
) -> tuple[Any, set[str]]:
    """The unit with its maps in `fresh`, and which of them are the very ones of `maps`. Only the compiler can say how
    large the unit wants each to be: where one is not, it is asked again without that one."""
    if fresh is maps:
        return _compile(str(maps), log, sizes, _NO_LINES), set()
    shared = {name for name, shape in SHAPES.items() if shape.of_traffic and old.get(name) == fields_sha256(shape)}
    shared = {name for name in shared if (maps / name).exists()}
    while True:
        _remove(fresh)
        fresh.mkdir()
        for name in shared:
            fd = libbpf.obj_get(str(maps / name))
            try:
                libbpf.obj_pin(fd, str(fresh / name))
            finally:
                os.close(fd)
        unit = _compile(str(fresh), log, sizes, _NO_LINES)
        others = {name for name in shared if unit.get_table(name.encode()).max_entries != _size_of(maps / name)}
        if not others:
            return unit, shared
        shared -= others


def _pinned_shapes(maps: Path) -> dict[str, bytes]:
    """Map name -> hash of its fields, as written by the version that made the pinned maps."""
    if not (maps / "mesh_map_meta").exists():
        return {}
    shapes: dict[str, bytes] = {}
    table = libbpf.Map(str(maps / "mesh_map_meta"))
    for index in range(table.max_entries):
        raw = table.lookup(index.to_bytes(4, "little")) or bytes(ctypes.sizeof(layouts.MapMeta))
        entry = layouts.MapMeta.from_buffer_copy(raw)
        name = bytes(entry.name).rstrip(b"\0").decode()
        if name:
            shapes[name] = bytes(entry.fields_sha256)
    return shapes


def _layout_changed(maps: Path) -> bool:
    if not any(maps.iterdir()):
        return False
    if not (maps / "mesh_meta").exists():
        return True
    raw = libbpf.Map(str(maps / "mesh_meta")).lookup(bytes(4))
    return raw is None or bytes(layouts.DatapathMeta.from_buffer_copy(raw).layout_sha256) != source.layout_sha256()


def _size_changed(maps: Path, sizes: Mapping[str, int]) -> bool:
    return any((maps / name).exists() and _size_of(maps / name) != entries for name, entries in sizes.items())


def _size_of(pin: Path) -> int:
    table = libbpf.Map(str(pin))
    table.close()
    return table.max_entries


def _compile(pins: str, log: BinaryIO, sizes: Mapping[str, int], lines: str) -> Any:
    os.environ["BCC_KERNEL_SOURCE"] = str(stubheaders.cached())
    try:
        try:
            from bcc import BPF
        except ImportError as error:
            raise LoadError(
                f"bcc cannot be imported by {sys.executable}: install python3-bpfcc and use Debian's python3, or a "
                "virtual environment made from it with --system-site-packages"
            ) from error
        flags = [f'-DWEFT_PIN_MAPS="{pins}"', *_COMPILE_FLAGS, lines]
        flags += [source.entries_flag(name, entries) for name, entries in sizes.items()]
        with _standard_error_to(log):
            return BPF(text=source.unit_text().encode(), cflags=flags)
    except LoadError:
        raise
    except Exception as error:  # bcc raises no narrower one
        raise LoadError(
            f"the kernel unit does not compile, or its maps cannot be made ({error}). What was loaded before stays; "
            "install weft again, and report this if it does not help"
        ) from error


def _compare_layouts(unit: Any) -> None:
    """What the compiler made of layouts.h must be what mesh.layouts says, field by field."""
    for name, shape in SHAPES.items():
        table = unit.get_table(name.encode())
        for part, theirs, ours in (("key", table.Key, shape.key), ("value", table.Leaf, shape.value)):
            problem = _difference(theirs, ours)
            if problem:
                raise LoadError(f"map {name}: {part} differs between bpf/lib/layouts.h and mesh/layouts.py: {problem}")


def _difference(theirs: Any, ours: Any) -> str:
    # bcc wraps the value of a per-CPU map into an array, one per CPU
    element = getattr(theirs, "_type_", None)
    if isinstance(element, type) and not hasattr(theirs, "_fields_"):
        theirs = element
    if isinstance(ours, int):
        return "" if ctypes.sizeof(theirs) == ours else f"{ctypes.sizeof(theirs)} bytes, not {ours}"
    layout = getattr(ours, "LAYOUT", ours)
    if ctypes.sizeof(theirs) != ctypes.sizeof(layout):
        return f"{ctypes.sizeof(theirs)} bytes, not {ctypes.sizeof(layout)}"
    for field in layout._fields_:
        mine, other = getattr(layout, field[0]), getattr(theirs, field[0], None)
        if other is None:
            return f"no field {field[0]}"
        if (mine.offset, mine.size) != (other.offset, other.size):
            return f"field {field[0]} at {other.offset} with {other.size} bytes, not {mine.offset} with {mine.size}"
    return ""


def _load_programs(unit: Any, log: BinaryIO) -> dict[str, int]:
    from bcc import BPF

    kinds = dict.fromkeys(TC_PROGRAMS, (BPF.SCHED_CLS, -1))
    kinds.update({name: (BPF.CGROUP_SOCK_ADDR, attach) for name, attach in CGROUP_PROGRAMS.items()})
    kinds[SOCK_OPS] = (BPF.SOCK_OPS, -1)
    kinds.update({name: (_SK_LOOKUP, attach) for name, attach in NETNS_PROGRAMS.items()})
    fds: dict[str, int] = {}
    for name, (kind, attach) in kinds.items():
        try:
            with _standard_error_to(log):
                fds[name] = unit.load_func(name.encode(), kind, attach_type=attach).fd
        except Exception as error:  # bcc raises no narrower one
            release = os.uname().release
            reason = str(error).rpartition(": ")[2]
            raise LoadError(
                f"kernel {release} refuses program {name} ({reason}). What was loaded before stays; boot a kernel that "
                "weft was tried on (6.1, 6.12 or 6.18), or install weft again, and report this if it does not help"
            ) from error
    return fds


def _explain(pins: str, log: BinaryIO, sizes: Mapping[str, int]) -> None:
    """Fill the log of a refusal anew, with source lines: the code is the same, and refused again."""
    log.seek(0)
    log.truncate()
    with suppress(LoadError):
        _load_programs(_compile(pins, log, sizes, _LINES), log)


def _copy_entries(old: Path, new: Path, old_shapes: dict[str, bytes], shared: set[str]) -> None:
    """Entries of maps whose layout is unchanged move along; the rest starts empty, and the agent writes it anew."""
    for name, shape in SHAPES.items():
        if name in _NOT_COPIED or name in shared or shape.per_cpu or not (old / name).exists():
            continue
        if old_shapes.get(name) != fields_sha256(shape):
            print(f"load: map {name} has a new layout: it starts empty", file=sys.stderr)
            continue
        held, table = list(libbpf.Map(str(old / name)).items()), libbpf.Map(str(new / name))
        if len(held) > table.max_entries:
            raise LoadError(
                f"map {name} holds {len(held)} entries, more than the {table.max_entries} that it shall have: give it "
                "more with --map-entries. What was loaded before stays"
            )
        table.update_many(held)


def _pin_programs(programs: dict[str, int], folder: Path) -> None:
    for name, fd in programs.items():
        # bpffs keeps names with a dot for itself (kernel/bpf/inode.c: bpf_lookup)
        beside = folder / f"{name}-new"
        beside.unlink(missing_ok=True)
        libbpf.obj_pin(fd, str(beside))
        beside.rename(folder / name)


def _write_meta(maps: Path) -> None:
    """Last of all: whoever finds these hashes finds everything else in place."""
    table = libbpf.Map(str(maps / "mesh_map_meta"))
    for index, (name, shape) in enumerate(SHAPES.items()):
        table.update(index.to_bytes(4, "little"), _map_meta(name, shape))
    meta = layouts.DatapathMeta()
    meta.unit_sha256[:] = source.unit_sha256()
    meta.layout_sha256[:] = source.layout_sha256()
    libbpf.Map(str(maps / "mesh_meta")).update(bytes(4), bytes(meta))


def _map_meta(name: str, shape: MapShape) -> bytes:
    entry = layouts.MapMeta()
    entry.name[:] = name.encode().ljust(16, b"\0")
    entry.fields_sha256[:] = fields_sha256(shape)
    return bytes(entry)


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    for pin in folder.iterdir():
        pin.unlink()
    folder.rmdir()


@contextmanager
def _standard_error_to(log: BinaryIO) -> Iterator[None]:
    """Compiler and verifier write to the process's standard error, past Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m agent.datapath.load", description=__doc__)
    parser.add_argument("--instance", required=True)
    parser.add_argument("--bpffs", default="/sys/fs/bpf")
    parser.add_argument("--map-entries", action="append", default=[], metavar="MAP=N", help="another size of a map")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryFile() as log:
        try:
            given = (text.partition("=") for text in options.map_entries)
            sizes = source.map_entries() | {name: int(entries) for name, _, entries in given}
            load(options.instance, options.bpffs, log, sizes)
        except (LoadError, stubheaders.HeadersMissing, source.SourceError, OSError) as error:
            print(f"load: {error}", file=sys.stderr)
            with suppress(OSError):
                log.seek(0)
                for line in log.read().decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:]:
                    print(f"    {line}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    done = main()
    sys.stderr.flush()
    os._exit(done)  # the kernel takes LLVM's memory back faster than LLVM gives it away
