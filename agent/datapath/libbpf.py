"""The few calls of libbpf.so.1 that the agent needs, by ctypes: pinned maps, programs, links, the ring buffer.

No LLVM and no bcc here: this is what the long-lived agent works with. Raw bytes in, raw bytes out; `KernelError`
carries the errno and the object's name, and `kernel.py` turns it into a sentence.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_BATCH = 4096
_RDONLY = 8  # BPF_F_RDONLY
_LINK_NETNS = 5  # BPF_LINK_TYPE_NETNS
_NOT_SUPPORTED = {errno.EINVAL, errno.EOPNOTSUPP, 524, errno.ENOSPC}
_SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class KernelError(OSError):
    """A bpf call failed: errno, what was asked, on what."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(number, f"{what}: {os.strerror(number) if number != 524 else 'not supported'}")


class _MapInfo(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
    ]


class _ProgInfo(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("tag", ctypes.c_uint8 * 8),
        ("jited_prog_len", ctypes.c_uint32),
        ("xlated_prog_len", ctypes.c_uint32),
    ]


class _LinkInfo(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("prog_id", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("target", ctypes.c_uint64),
        ("attach_type", ctypes.c_uint32),
        ("pad2", ctypes.c_uint32),
    ]


class _ObjGetOpts(ctypes.Structure):
    _fields_ = [("sz", ctypes.c_size_t), ("file_flags", ctypes.c_uint32), ("pad", ctypes.c_uint32)]


class _TestRunOpts(ctypes.Structure):
    _fields_ = [
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    ]


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise KernelError(errno.ENOENT, "libbpf.so.1 cannot be loaded; install libbpf1") from error
    library.ring_buffer__new.restype = ctypes.c_void_p
    library.ring_buffer__new.argtypes = [ctypes.c_int, _SAMPLE, ctypes.c_void_p, ctypes.c_void_p]
    for name in ("ring_buffer__free", "ring_buffer__consume", "ring_buffer__epoll_fd"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.ring_buffer__free.restype = None
    library.libbpf_set_print.restype = ctypes.c_void_p
    library.libbpf_set_print(None)  # libbpf's own words on standard error help nobody: errors are ours to tell
    return library


def available() -> bool:
    """Is libbpf.so.1 here?"""
    try:
        _library()
    except KernelError:
        return False
    return True


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise KernelError(-result if result != -1 else (ctypes.get_errno() or errno.EPERM), what)
    return result


def obj_get(path: str, *, read_only: bool = False) -> int:
    """Open a pinned map, program or link."""
    opts = _ObjGetOpts(sz=ctypes.sizeof(_ObjGetOpts), file_flags=_RDONLY if read_only else 0)
    return _checked(_library().bpf_obj_get_opts(path.encode(), ctypes.byref(opts)), f"open {path}")


def obj_pin(fd: int, path: str) -> None:
    _checked(_library().bpf_obj_pin(fd, path.encode()), f"pin {path}")


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    id: int
    instructions: int


def _info(fd: int, info: ctypes.Structure, what: str) -> None:
    size = ctypes.c_uint32(ctypes.sizeof(info))
    _checked(_library().bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size)), f"info of {what}")


def program_info(fd: int) -> ProgramInfo:
    info = _ProgInfo()
    _info(fd, info, "program")
    return ProgramInfo(info.id, info.xlated_prog_len // 8)


def link_create(program: int, target: int, attach_type: int) -> int:
    return _checked(_library().bpf_link_create(program, target, attach_type, None), f"attach (type {attach_type})")


def link_update(link: int, program: int) -> None:
    _checked(_library().bpf_link_update(link, program, None), "replace the program of a link")


def link_info(link: int) -> tuple[int, int]:
    """(inode of the cgroup or network namespace, program id). The inode is 0 once that is gone."""
    info = _LinkInfo()
    _info(link, info, "link")
    # a namespace's inode has four bytes, and the attach type comes right behind it
    target = info.target & 0xFFFFFFFF if info.type == _LINK_NETNS else info.target
    return target, info.prog_id


def link_types() -> set[int]:
    """Kinds (enum bpf_link_type) of all links of this machine."""
    found: set[int] = set()
    number = ctypes.c_uint32(0)
    while (result := _library().bpf_link_get_next_id(number, ctypes.byref(number))) != -errno.ENOENT:
        _checked(result, "list links")
        link = _library().bpf_link_get_fd_by_id(number)
        if link == -errno.ENOENT:
            continue  # gone meanwhile
        info = _LinkInfo()
        try:
            _info(_checked(link, "open a link"), info, "link")
        finally:
            os.close(link)
        found.add(info.type)
    return found


@dataclass(frozen=True, slots=True)
class TestRun:
    """What a test run of a program gave back."""

    __test__ = False  # the name is the kernel's, not pytest's

    retval: int
    duration_ns: int
    data: bytes
    context: bytes


def program_test_run(fd: int, packet: bytes, context: bytes = b"", *, repeat: int = 1) -> TestRun:
    """BPF_PROG_TEST_RUN. `context` is a struct __sk_buff for tc programs; sk_lookup programs take a context alone."""
    data_in = ctypes.create_string_buffer(packet, len(packet))
    data_out = ctypes.create_string_buffer(len(packet) + 256 if packet else 0)
    context_in = ctypes.create_string_buffer(context, len(context)) if context else None
    context_out = ctypes.create_string_buffer(max(len(context), 1))
    opts = _TestRunOpts(
        sz=ctypes.sizeof(_TestRunOpts),
        data_in=ctypes.addressof(data_in) if packet else None,
        data_out=ctypes.addressof(data_out) if packet else None,
        data_size_in=len(packet),
        data_size_out=len(data_out),
        ctx_in=ctypes.addressof(context_in) if context_in is not None else None,
        ctx_out=ctypes.addressof(context_out) if context_in is not None else None,
        ctx_size_in=len(context),
        ctx_size_out=len(context) if context else 0,
        repeat=repeat,
    )
    _checked(_library().bpf_prog_test_run_opts(fd, ctypes.byref(opts)), "test run")
    return TestRun(opts.retval, opts.duration, data_out.raw[: opts.data_size_out], context_out.raw)


class Map:
    """One pinned map, by its bytes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = obj_get(path)
        info = _MapInfo()
        _info(self.fd, info, path)
        self.key_size: int = info.key_size
        self.value_size: int = info.value_size
        self.max_entries: int = info.max_entries
        self._per_cpu = info.type in (5, 6, 10)  # per-CPU hash, array, LRU hash
        self._span = self.value_size
        if self._per_cpu:
            self._span = (self.value_size + 7) // 8 * 8 * _possible_cpus()
        self._no_batch = False

    def close(self) -> None:
        os.close(self.fd)

    def lookup(self, key: bytes) -> bytes | None:
        """The value; of a per-CPU map all CPUs' values, each padded to eight bytes."""
        value = ctypes.create_string_buffer(self._span)
        result = _library().bpf_map_lookup_elem(self.fd, key, value)
        if result == -errno.ENOENT:
            return None
        _checked(result, f"read {self.path}")
        return value.raw

    def update(self, key: bytes, value: bytes) -> None:
        _checked(_library().bpf_map_update_elem(self.fd, key, value, ctypes.c_uint64(0)), f"write {self.path}")

    def delete(self, key: bytes) -> None:
        result = _library().bpf_map_delete_elem(self.fd, key)
        if result != -errno.ENOENT:
            _checked(result, f"delete from {self.path}")

    def update_many(self, entries: list[tuple[bytes, bytes]]) -> None:
        """In few system calls where the kernel can; one by one where it cannot."""
        for start in range(0, len(entries), _BATCH):
            part = entries[start : start + _BATCH]
            done = 0
            if not self._no_batch:
                count = ctypes.c_uint32(len(part))
                keys, values = b"".join(key for key, _ in part), b"".join(value for _, value in part)
                result = _library().bpf_map_update_batch(self.fd, keys, values, ctypes.byref(count), None)
                if result == 0:
                    continue
                if -result in (errno.E2BIG, errno.ENOMEM):
                    _checked(result, f"write {self.path}")
                done = min(count.value, len(part)) if -result not in _NOT_SUPPORTED else 0
                self._no_batch = -result in _NOT_SUPPORTED - {errno.ENOSPC}
            for key, value in part[done:]:
                self.update(key, value)

    def delete_many(self, keys: list[bytes]) -> None:
        for key in keys:  # a batch stops at the first key that is gone, and conntrack keys go all the time
            self.delete(key)

    def keys(self) -> Iterator[bytes]:
        """A walk by next key; starts over where the kernel lost its place, so the caller may see a key twice."""
        key: bytes | None = None
        following = ctypes.create_string_buffer(self.key_size)
        while True:
            result = _library().bpf_map_get_next_key(self.fd, key, following)
            if result == -errno.ENOENT:
                return
            _checked(result, f"walk {self.path}")
            key = following.raw
            yield key

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values, in batches where the kernel can."""
        batch = None if self._per_cpu else self._lookup_batches()
        if batch is None:
            yield from self._walk(set())
            return
        seen: set[bytes] = set()
        try:
            for key, value in batch:
                seen.add(key)
                yield key, value
        except KernelError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
            yield from self._walk(seen)

    def _walk(self, seen: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for steps, key in enumerate(self.keys()):
            if steps > 4 * self.max_entries:
                return  # the kernel kept starting over: what was seen must do
            value = None if key in seen else self.lookup(key)
            if value is not None:
                seen.add(key)
                yield key, value

    def _lookup_batches(self) -> Iterator[tuple[bytes, bytes]]:
        place = ctypes.create_string_buffer(max(self.key_size, 8))
        following = ctypes.create_string_buffer(max(self.key_size, 8))
        keys = ctypes.create_string_buffer(self.key_size * _BATCH)
        values = ctypes.create_string_buffer(self.value_size * _BATCH)
        first = True
        while True:
            count = ctypes.c_uint32(_BATCH)
            result = _library().bpf_map_lookup_batch(
                self.fd, None if first else place, following, keys, values, ctypes.byref(count), None
            )
            if result not in (0, -errno.ENOENT):
                _checked(result, f"read {self.path}")
            raw_keys, raw_values = keys.raw, values.raw
            for index in range(count.value):
                yield (
                    raw_keys[index * self.key_size : (index + 1) * self.key_size],
                    raw_values[index * self.value_size : (index + 1) * self.value_size],
                )
            if result == -errno.ENOENT:
                return
            first = False
            place, following = following, place


@functools.cache
def _possible_cpus() -> int:
    total = 0
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        for part in file.read().strip().split(","):
            low, _, high = part.partition("-")
            total += int(high or low) - int(low) + 1
    return total


class RingBuffer:
    """The consumer of a pinned ring buffer. One thread at a time."""

    def __init__(self, path: str) -> None:
        self._map = obj_get(path)
        self._take: Callable[[bytes], None] | None = None
        self._left = 0
        self._taken = 0
        self._error: BaseException | None = None
        self._callback = _SAMPLE(self._sample)  # must live as long as the ring
        self._ring: int | None = _library().ring_buffer__new(self._map, self._callback, None, None)
        if not self._ring:
            raise KernelError(ctypes.get_errno() or errno.EINVAL, f"ring buffer {path}")

    def fd(self) -> int:
        """Readable when records wait."""
        return int(_library().ring_buffer__epoll_fd(self._ring))

    def consume(self, take: Callable[[bytes], None], *, limit: int) -> int:
        """Hand over what waits, at most `limit` records. An error of `take` ends the round and is raised here."""
        self._take, self._left, self._taken, self._error = take, limit, 0, None
        result = _library().ring_buffer__consume(self._ring)
        self._take = None
        if self._error is not None:
            raise self._error
        if result < 0 and result != -errno.ECANCELED:
            _checked(result, "read the ring buffer")
        return self._taken

    def close(self) -> None:
        if self._ring:
            _library().ring_buffer__free(self._ring)
            self._ring = None
            os.close(self._map)

    def _sample(self, _context: int | None, data: int | None, size: int) -> int:
        try:
            if self._take is not None and data is not None:
                self._take(ctypes.string_at(data, size))
        except BaseException as error:  # noqa: BLE001 - must not unwind through C; consume() raises it
            self._error = error
            return -errno.ECANCELED
        self._taken += 1
        self._left -= 1
        return -errno.ECANCELED if self._left <= 0 else 0
