"""Files of the state directory: written whole or not at all, readable by root alone. The last good snapshot is one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from agent.errors import AgentError
from mesh.api import codec
from mesh.api import mesh_pb2 as pb
from mesh.snapshot import NodeSnapshot


class StateFileError(AgentError):
    """A file of the state directory could not be written or read."""


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file. A full disk leaves the old one in place and is an error that names the path."""
    staging = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staging, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            staging.unlink()
        raise StateFileError(f"cannot write {path}: {error.strerror}; free space or make it writable") from error


def save_snapshot(path: Path, snapshot: NodeSnapshot) -> None:
    """Keep the last good snapshot, so that the node works when it starts with the controller away."""
    write_atomic(path, codec.snapshot_to_pb(snapshot).SerializeToString())


def mark_outrun(path: Path) -> None:
    """What the kernel enforces is about to be newer than the snapshot at `path`."""
    try:
        _outrun(path).touch(mode=0o600)
    except OSError as error:
        raise StateFileError(f"cannot write beside {path}: {error.strerror}; free space or make it writable") from error


def clear_outrun(path: Path) -> None:
    with contextlib.suppress(OSError):
        _outrun(path).unlink()


def is_outrun(path: Path) -> bool:
    return _outrun(path).exists()


def _outrun(path: Path) -> Path:
    return path.with_name(path.name + ".outrun")


def load_snapshot(path: Path, node: str) -> NodeSnapshot | None:
    """The snapshot kept by an earlier process; None where there is none. StateFileError where it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        snapshot = codec.snapshot_from_pb(codec.parse(pb.Snapshot, data))
    except codec.CodecError as error:
        raise StateFileError(f"{path} is damaged ({error}): the controller will send a new snapshot") from error
    if snapshot.node != node:
        raise StateFileError(f"{path} is of node {snapshot.node}, this is {node}: it is not used")
    return snapshot
