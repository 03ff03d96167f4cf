"""Loading: what is pinned and fresh is left alone, what is old is replaced around the entries that can stay."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.datapath import libbpf, load, source
from agent.datapath.interface import DatapathError
from agent.datapath.kernel import KernelDatapath
from agent.datapath.mapnames import SHAPES
from agent.datapath.programs import ALL_PROGRAMS, CGROUP_PROGRAMS, pin_folder
from agent.datapath.tables import IpcacheEntry, IpcacheKey
from tests.bpf import programs
from tests.support import versions
from tests.support.waiting import eventually

INSTANCE = "test-load"
MAPS = pin_folder("/sys/fs/bpf", INSTANCE) / "maps"
KEY, VALUE = IpcacheKey(ip_network("198.51.100.0/24")), IpcacheEntry(777)


@pytest.fixture
def datapath() -> Iterator[KernelDatapath]:
    made = KernelDatapath(INSTANCE)
    made.ensure_loaded()
    made.tables.ipcache.put(KEY, VALUE)
    yield made
    made.uninstall()
    assert not pin_folder("/sys/fs/bpf", INSTANCE).exists()


def forget(*, unit: bool = False, layout: bool = False) -> None:
    versions.forget(MAPS, unit=unit, layout=layout)


def program_id(name: str) -> int:
    fd = libbpf.obj_get(str(pin_folder("/sys/fs/bpf", INSTANCE) / "progs" / name))
    try:
        return libbpf.program_info(fd).id
    finally:
        os.close(fd)


def test_a_warm_start_compiles_nothing(datapath: KernelDatapath) -> None:
    before = program_id("tc_from_pod")
    assert KernelDatapath(INSTANCE).ensure_loaded() is False
    assert program_id("tc_from_pod") == before


def test_a_new_unit_takes_over_the_same_maps(datapath: KernelDatapath) -> None:
    before = {name: program_id(name) for name in ALL_PROGRAMS}
    forget(unit=True)
    assert datapath.ensure_loaded() is True
    assert all(program_id(name) != before[name] for name in ALL_PROGRAMS)
    assert datapath.tables.ipcache.get(KEY) == VALUE


def test_a_new_layout_moves_what_kept_its_fields(datapath: KernelDatapath) -> None:
    names = list(SHAPES)
    table = libbpf.Map(str(MAPS / "mesh_map_meta"))
    datapath.tables.endpoint_by_netns.put(5, 6)
    index = names.index("mesh_ep_ns").to_bytes(4, "little")
    table.update(index, load._map_meta("mesh_ep_ns", SHAPES["mesh_ct"]))  # it had other fields once
    forget(layout=True)
    assert datapath.ensure_loaded() is True
    assert datapath.tables.ipcache.get(KEY) == VALUE
    assert list(datapath.tables.endpoint_by_netns.items()) == []
    assert not (MAPS.parent / "maps-new").exists()
    assert not (MAPS.parent / "maps-old").exists()


def held(name: str) -> libbpf.Map:
    """Stays what it is, whatever is pinned there later."""
    return libbpf.Map(str(MAPS / name))


def test_a_new_layout_goes_on_with_the_maps_that_programs_write(datapath: KernelDatapath) -> None:
    """What comes while one program after the other is replaced must be found by both, and by the proxy."""
    before = {name: held(name) for name, shape in SHAPES.items() if shape.of_traffic}
    ipcache = held("mesh_ipcache")
    forget(layout=True)
    assert datapath.ensure_loaded() is True
    for name, table in before.items():
        key, value = (0).to_bytes(table.key_size, "little"), b"\1" * table.value_size
        table.update(key, value)
        assert held(name).lookup(key) == value, name
    ipcache.delete(next(iter(ipcache.items()))[0])
    assert datapath.tables.ipcache.get(KEY) == VALUE


def test_a_map_of_programs_that_has_other_fields_now_is_a_new_one(datapath: KernelDatapath) -> None:
    before = held("mesh_frag")
    before.update(bytes(before.key_size), bytes(before.value_size))
    index = list(SHAPES).index("mesh_frag").to_bytes(4, "little")
    held("mesh_map_meta").update(index, load._map_meta("mesh_frag", SHAPES["mesh_ct"]))
    forget(layout=True)
    assert datapath.ensure_loaded() is True
    assert list(held("mesh_frag").items()) == []
    assert len(list(before.items())) == 1


def test_a_map_of_programs_that_shall_have_another_size_is_a_copy(
    datapath: KernelDatapath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, flows = held("mesh_frag"), held("mesh_ct")
    before.update(bytes(before.key_size), bytes(before.value_size))
    text = source.unit_text().replace("struct frag_entry, mesh_frag, 4096", "struct frag_entry, mesh_frag, 8192")
    monkeypatch.setattr(source, "unit_text", lambda *_: text)
    forget(layout=True)
    with (tmp_path / "log").open("w+b") as log:
        load.load(INSTANCE, "/sys/fs/bpf", log, source.map_entries())
    assert held("mesh_frag").max_entries == 8192
    assert len(list(held("mesh_frag").items())) == 1
    flows.update(bytes(flows.key_size), bytes(flows.value_size))
    assert len(list(held("mesh_ct").items())) == 1


def test_a_unit_that_does_not_load_leaves_what_runs_alone(
    datapath: KernelDatapath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = source.unit_text().replace(
        "int tc_from_pod(struct __sk_buff *skb)\n{",
        "int tc_from_pod(struct __sk_buff *skb)\n{\n\treturn *(int *)(long)skb->mark;",
        1,
    )
    monkeypatch.setattr(source, "unit_text", lambda: text)
    before = program_id("tc_from_pod")
    with (tmp_path / "log").open("w+b") as log:
        with pytest.raises(load.LoadError, match="refuses program tc_from_pod"):
            load.load(INSTANCE, "/sys/fs/bpf", log, {})
        log.seek(0)
        told = log.read()
    assert b"R" in told  # the verifier's words
    assert re.search(rb"^; ", told, re.MULTILINE)  # each with the line of the source that it is about
    assert program_id("tc_from_pod") == before
    assert datapath.tables.ipcache.get(KEY) == VALUE


def test_a_unit_that_does_not_compile_says_where(
    datapath: KernelDatapath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = source.unit_text().replace(
        "static __always_inline u16 fold(u64 sum)", "static __always_inline u16 fold(nonsense sum)"
    )
    monkeypatch.setattr(source, "unit_text", lambda: text)
    with (tmp_path / "log").open("w+b") as log:
        with pytest.raises(load.LoadError, match="does not compile"):
            load.load(INSTANCE, "/sys/fs/bpf", log, {})
        log.seek(0)
        assert b"lib/reset.h:" in log.read()


def test_socket_hooks_hang_on_links_that_are_updated_in_place(datapath: KernelDatapath, tmp_path: Path) -> None:
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        root = next(row.split()[1] for row in mounts if row.split()[2] == "cgroup2")
    cgroup = Path(root, "weft-test-load")
    cgroup.mkdir(exist_ok=True)
    try:
        assert len(missing(datapath, "cgroup")) == len(CGROUP_PROGRAMS)
        datapath.attach_cgroup(str(cgroup))
        assert missing(datapath, "cgroup") == []
        forget(unit=True)
        datapath.ensure_loaded()
        assert len(missing(datapath, "another version hangs on the pods' cgroup")) == len(CGROUP_PROGRAMS)
        datapath.attach_cgroup(str(cgroup))
        assert missing(datapath, "cgroup") == []
    finally:
        cgroup.rmdir()
    # links go a little later
    eventually(lambda: missing(datapath, "cgroup is gone"), lambda gone: len(gone) == len(CGROUP_PROGRAMS))


def missing(datapath: KernelDatapath, text: str) -> list[str]:
    return [hook for hook in datapath.hooks_missing(pods=[], uplinks=[]) if text in hook]


def test_the_lookup_of_listeners_hangs_on_the_nodes_namespace(datapath: KernelDatapath) -> None:
    seen: list[list[str]] = []

    def node() -> None:
        programs.enter_new_namespace()  # this thread's alone, and gone with it
        seen.append(missing(datapath, "sk_lookup"))
        for _ in range(2):
            datapath.prepare_node()
            seen.append(missing(datapath, "sk_lookup"))
        forget(unit=True)
        datapath.ensure_loaded()
        seen.append(missing(datapath, "sk_lookup"))
        datapath.prepare_node()
        seen.append(missing(datapath, "sk_lookup"))

    thread = threading.Thread(target=node)
    thread.start()
    thread.join()
    where = "the node's network namespace"
    assert seen == [[f"sk_lookup on {where}"], [], [], [f"sk_lookup: another version hangs on {where}"], []]
    eventually(lambda: missing(datapath, "sk_lookup"), lambda told: told == [f"sk_lookup: {where} is gone"])


def test_the_redirect_map_is_handed_out_read_only(datapath: KernelDatapath) -> None:
    fd = datapath.redirect_map_fd()
    try:
        raw = libbpf.Map.__new__(libbpf.Map)
        raw.fd, raw.path = fd, "mesh_redirect"
        with pytest.raises(libbpf.KernelError, match="not permitted"):
            raw.update(bytes(36), bytes(48))
    finally:
        os.close(fd)


def test_a_map_gets_another_size_and_keeps_its_entries(datapath: KernelDatapath) -> None:
    larger = KernelDatapath(INSTANCE, map_entries={"mesh_ipcache": 1 << 19})
    assert larger.ensure_loaded() is True
    assert (larger.tables.ipcache.max_entries, larger.tables.ipcache.get(KEY)) == (1 << 19, VALUE)
    assert KernelDatapath(INSTANCE, map_entries={"mesh_ipcache": 1 << 19}).ensure_loaded() is False
    assert KernelDatapath(INSTANCE).ensure_loaded() is True
    assert libbpf.Map(str(MAPS / "mesh_ipcache")).max_entries == source.map_entries()["mesh_ipcache"]


def test_a_map_does_not_shrink_below_what_it_holds(datapath: KernelDatapath) -> None:
    datapath.tables.ipcache.put_many({IpcacheKey(ip_network(f"198.51.100.{n}/32")): VALUE for n in range(40)})
    with pytest.raises(DatapathError, match=r"mesh_ipcache holds 41 entries, more than the 32"):
        KernelDatapath(INSTANCE, map_entries={"mesh_ipcache": 32}).ensure_loaded()
    assert KernelDatapath(INSTANCE).ensure_loaded() is False  # what was there is there
