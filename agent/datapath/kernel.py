"""The datapath in the kernel: pinned maps and programs through libbpf, hooks through netlink and cgroup links.

Satisfies `interface.Datapath`. Compiles nothing itself: `load.py` does, in a process that exits. All calls are short
and blocking; the agent makes them from one task. What is attached stays attached when this process goes.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from agent.datapath import attach, libbpf, linkends, links, obstacles, source, stubheaders
from agent.datapath.attach import Hook
from agent.datapath.events import EventReader
from agent.datapath.interface import DatapathError, Tables
from agent.datapath.kerneltables import KernelTables
from agent.datapath.mapnames import LISTENERS, OTHER_MAPS, SHAPES, STEMS
from agent.datapath.programs import ALL_PROGRAMS, CGROUP_PROGRAMS, NETNS_PROGRAMS, pin_folder
from agent.datapath.tables import Counter, FlowEvent, NodeConfig
from mesh import layouts

_LOAD_TIMEOUT_S = 120
_BPFFS_MAGIC_OPTION = "bpf"
_SO_COOKIE = 57


class KernelDatapath:
    """One instance's datapath. Construct, then `ensure_loaded()`, before anything else."""

    tables: Tables

    def __init__(self, instance: str, bpffs: str = "/sys/fs/bpf", map_entries: Mapping[str, int] | None = None) -> None:
        """`map_entries`: other sizes than the usual ones, by the map's name."""
        self._instance = instance
        self._map_entries = dict(map_entries or {})
        self._bpffs = bpffs
        self._folder = pin_folder(bpffs, instance)
        self._events: EventReader | None = None
        self._program_ids: dict[str, int] = {}

    def ensure_loaded(self) -> bool:
        mount_bpffs(self._bpffs)
        cold = not (self._fresh() and self._sized())
        if cold:
            self._load()
        self._open()
        return cold

    def _fresh(self) -> bool:
        """The pins are all there and were made from this very unit."""
        if not all((self._folder / "progs" / name).exists() for name in ALL_PROGRAMS):
            return False
        if not all((self._folder / "maps" / name).exists() for name in (*SHAPES, *OTHER_MAPS)):
            return False
        try:
            table = libbpf.Map(str(self._folder / "maps" / "mesh_meta"))
            raw = table.lookup(bytes(4))
            table.close()
        except libbpf.KernelError:
            return False
        if raw is None or len(raw) != len(bytes(layouts.DatapathMeta())):
            return False
        meta = layouts.DatapathMeta.from_buffer_copy(raw)
        unit, layout = bytes(meta.unit_sha256), bytes(meta.layout_sha256)
        return unit == source.unit_sha256() and layout == source.layout_sha256()

    def _sized(self) -> bool:
        """The pinned maps have the sizes that they shall have."""
        for name, entries in (source.map_entries() | self._map_entries).items():
            table = libbpf.Map(str(self._folder / "maps" / name))
            table.close()
            if table.max_entries != entries:
                return False
        return True

    def _load(self) -> None:
        command = [sys.executable, "-m", "agent.datapath.load", "--instance", self._instance, "--bpffs", self._bpffs]
        for name, entries in self._map_entries.items():
            command += ["--map-entries", f"{name}={entries}"]
        try:
            done = subprocess.run(
                command,
                env=links.own_environment(),
                capture_output=True,
                text=True,
                timeout=_LOAD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DatapathError(f"compiling the kernel programs took longer than {_LOAD_TIMEOUT_S} s") from error
        if done.returncode:
            raise DatapathError(f"the kernel programs could not be loaded\n{done.stderr.strip()}")

    def _open(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None
        try:
            self._kernel_tables = KernelTables(self._folder / "maps")
            self.tables = self._kernel_tables
            for name in ALL_PROGRAMS:
                fd = libbpf.obj_get(str(self._folder / "progs" / name))
                self._program_ids[name] = libbpf.program_info(fd).id
                os.close(fd)
        except libbpf.KernelError as error:
            raise DatapathError(f"cannot open what is pinned under {self._folder}: {error.strerror}") from error

    def configure(self, config: NodeConfig) -> None:
        self._kernel_tables.config.put(0, config)

    def prepare_node(self) -> None:
        mark, mask = self._marks()
        with _told():
            links.prepare(mark, mask)
            self._link_all(NETNS_PROGRAMS, "/proc/thread-self/ns/net")

    def _marks(self) -> tuple[int, int]:
        config = self._kernel_tables.config.get(0)
        if config is None or not config.mark_to_proxy:
            return links.MARK_TO_PROXY, links.MARK_MASK
        return config.mark_to_proxy, config.mark_mask

    def attach_pod(self, ifindex: int) -> None:
        with _told():
            links.settle_interface(ifindex)
            self._attach(ifindex, Hook.EGRESS, "tc_to_pod")
            self._attach(ifindex, Hook.INGRESS, "tc_from_pod")
            self._know_veth(ifindex)

    def attach_guest(self, ifindex: int) -> None:
        self._kernel_tables.veth.delete(ifindex)
        with _told():
            links.settle_interface(ifindex)
            self._attach(ifindex, Hook.INGRESS, "tc_from_guest")
            attach.remove(ifindex, Hook.EGRESS, self._instance)

    def attach_uplink(self, ifindex: int) -> None:
        with _told():
            links.settle_interface(ifindex)
            self._attach(ifindex, Hook.INGRESS, "tc_from_net")

    def _know_veth(self, ifindex: int) -> None:
        """The fast path may put packets into this pod, where its interface is one that allows it."""
        try:
            ends = linkends.veth(ifindex)
        except links.LinkError:
            ends = None
        if ends is None:
            self._kernel_tables.veth.delete(ifindex)
        else:
            self._kernel_tables.veth.put(ifindex, ends)

    def _attach(self, ifindex: int, hook: Hook, program: str) -> None:
        fd = libbpf.obj_get(str(self._folder / "progs" / program))
        try:
            attach.attach(ifindex, hook, self._program(program), fd)
        finally:
            os.close(fd)

    def _program(self, name: str) -> attach.Program:
        return attach.Program(self._instance, name, self._program_ids[name])

    def detach_pod(self, ifindex: int) -> None:
        self._kernel_tables.veth.delete(ifindex)
        with _told():
            attach.detach(ifindex, self._instance)

    def fast_path_obstacles(self, *, pods: list[int]) -> list[str]:
        with _told():
            return obstacles.find(pods)

    def open_fast_path(self, seconds: float, uplinks: list[int]) -> None:
        until = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(seconds * 1e9) if seconds else 0
        entry = layouts.FastPath(until_ns=until)
        for place, ifindex in enumerate(uplinks[: len(entry.uplinks)]):
            entry.uplinks[place] = ifindex
        self._kernel_tables.fast_path.put(0, entry)

    def attach_cgroup(self, path: str) -> None:
        if not os.path.isdir(path):
            raise DatapathError(f"cannot open cgroup {path}: no such directory; create it below a cgroup v2")
        with _told():
            self._link_all(CGROUP_PROGRAMS, path)

    def _link_all(self, programs: dict[str, int], path: str) -> None:
        try:
            target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DatapathError(f"cannot open {path}: {error.strerror}") from error
        try:
            for program, kind in programs.items():
                self._link(program, kind, target)
        finally:
            os.close(target)

    def _link(self, program: str, kind: int, target: int) -> None:
        pin = self._folder / "links" / program
        fd = libbpf.obj_get(str(self._folder / "progs" / program))
        try:
            link = self._pinned_link(pin, os.fstat(target).st_ino)
            if link is None:
                link = libbpf.link_create(fd, target, kind)
                libbpf.obj_pin(link, str(pin))
            else:
                libbpf.link_update(link, fd)
            os.close(link)
        finally:
            os.close(fd)

    def _pinned_link(self, pin: Path, target: int) -> int | None:
        """The link that is pinned there, if it hangs on the cgroup or namespace with this inode; else it is let go."""
        try:
            link = libbpf.obj_get(str(pin))
        except libbpf.KernelError:
            return None
        if libbpf.link_info(link)[0] == target:
            return link
        os.close(link)
        pin.unlink()
        return None

    def hooks_missing(self, *, pods: list[int], uplinks: list[int], guests: Sequence[int] = ()) -> list[str]:
        wanted = [(ifindex, Hook.INGRESS, "tc_from_pod") for ifindex in pods]
        wanted += [(ifindex, Hook.EGRESS, "tc_to_pod") for ifindex in pods]
        wanted += [(ifindex, Hook.INGRESS, "tc_from_guest") for ifindex in guests]
        wanted += [(ifindex, Hook.INGRESS, "tc_from_net") for ifindex in uplinks]
        with _told():
            lost = attach.missing([(ifindex, hook, self._program(name)) for ifindex, hook, name in wanted])
        lost += [self._link_missing(program, "the pods' cgroup") for program in CGROUP_PROGRAMS]
        lost += [self._link_missing(program, "the node's network namespace") for program in NETNS_PROGRAMS]
        return [text for text in lost if text]

    def _link_missing(self, program: str, where: str) -> str:
        pin = self._folder / "links" / program
        try:
            link = libbpf.obj_get(str(pin))
        except libbpf.KernelError:
            return f"{program} on {where}"
        try:
            target, program_id = libbpf.link_info(link)
        finally:
            os.close(link)
        if not target:
            return f"{program}: {where} is gone"
        return "" if program_id == self._program_ids[program] else f"{program}: another version hangs on {where}"

    def event_fd(self) -> int:
        return self._reader().fd()

    def read_events(self, take: Callable[[FlowEvent], None], *, limit: int) -> int:
        with _told():
            return self._reader().read(take, limit=limit)

    def _reader(self) -> EventReader:
        if self._events is None:
            with _told():
                self._events = EventReader(str(self._folder / "maps" / "mesh_events"))
        return self._events

    def counters(self) -> dict[tuple[int, int], Counter]:
        totals: dict[tuple[int, int], Counter] = {}
        for index in range(layouts.DROP_REASON_COUNT * 2):
            values = self._kernel_tables.per_cpu("mesh_counters", index, layouts.Counter)
            packets, octets = sum(one.packets for one in values), sum(one.bytes for one in values)
            if packets:
                totals[index // 2, index % 2] = Counter(packets, octets)
        return totals

    def gauges(self) -> dict[str, int]:
        return {
            gauge.name.removeprefix("GAUGE_").lower(): self._kernel_tables.per_cpu_number("mesh_gauges", gauge)
            for gauge in layouts.Gauge
            if gauge is not layouts.Gauge.GAUGE_COUNT
        }

    def redirect_map_fd(self) -> int:
        with _told():
            return libbpf.obj_get(str(self._folder / "maps" / STEMS["redirect"]), read_only=True)

    def offer_listeners(self, v4: socket.socket, v6: socket.socket) -> None:
        with _told():
            table = libbpf.Map(str(self._folder / "maps" / LISTENERS))
            try:
                for index, listener in enumerate((v4, v6)):
                    key, cookie = index.to_bytes(4, "little"), listener.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8)
                    if table.lookup(key) != cookie:
                        table.update(key, listener.fileno().to_bytes(8, "little"))
            finally:
                table.close()

    def uninstall(self) -> None:
        mark, mask = links.MARK_TO_PROXY, links.MARK_MASK
        if self._folder.exists() and self._fresh():
            self._open()
            mark, mask = self._marks()
        with _told():
            carrying = attach.attached_interfaces(links.interface_indexes(), self._instance)
            for ifindex in carrying:
                attach.detach(ifindex, self._instance)
            if carrying or not attach.in_use(links.interface_indexes()):
                links.restore(mark, mask)
        self.close()
        for part in ("links", "progs", "maps", "maps-new", "maps-old"):
            shutil.rmtree(self._folder / part, ignore_errors=True)
        with suppress(OSError):
            self._folder.rmdir()
            self._folder.parent.rmdir()  # only goes with the machine's last instance
            shutil.rmtree(stubheaders.CACHE, ignore_errors=True)

    def close(self) -> None:
        """Let go of maps and ring buffer; everything attached stays."""
        if self._events is not None:
            self._events.close()
            self._events = None
        if self._program_ids:
            self._kernel_tables.close()
            self._program_ids = {}


class _told:
    """Netlink and bpf errors become DatapathError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, links.LinkError | libbpf.KernelError):
            raise DatapathError(str(error.strerror if isinstance(error, OSError) else error)) from error


def mount_bpffs(path: str) -> None:
    """Make sure that a bpf file system is there; pins need one. DatapathError says why there is none."""
    if _is_bpffs(path):
        return
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatapathError(f"cannot make {path} for the bpf file system: {error.strerror}") from error
    done = subprocess.run(["mount", "-t", "bpf", "bpf", path], capture_output=True, text=True, check=False)
    if done.returncode and not _is_bpffs(path):
        raise DatapathError(f"no bpf file system at {path}, and mounting one failed: {done.stderr.strip()}")


def _is_bpffs(path: str) -> bool:
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return any(line.split()[1] == path and line.split()[2] == _BPFFS_MAGIC_OPTION for line in mounts)
