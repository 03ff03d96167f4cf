"""A machine that lacks something: each program says in one message what is missing and what to do, and leaves nothing.

The lacks are real where root can make them so for one command (tests.support.machine). A broken kernel unit is a copy
of this tree with a fault written into it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.datapath import libbpf
from agent.datapath.programs import ALL_PROGRAMS, pin_folder
from tests.lab.test_life import traces
from tests.support import controlplane, machine
from tests.support.cluster import ROOT, Cluster, Outcome

LAB = "test-unfit"
MANIFEST = str(Path(__file__).with_name("manifests") / "faults.yaml")
PINS = pin_folder("/sys/fs/bpf", LAB)


@pytest.fixture(autouse=True)
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.fail("these tests need root, to take things away from what they start; run `make test` as root")


def agent(state: Path, *more: str) -> list[str]:
    where = ["--node", "n", "--controller", "127.0.0.1:1", "--cgroup", "/sys/fs/cgroup/none", "--instance", LAB]
    return [*where, "--uplink", "eth0", "--state", str(state / "agent"), *more]


def one_message(done: Outcome, *words: str) -> str:
    """Exit 1 and all the words in what was said, which is no traceback."""
    said = done.err.strip()
    assert (done.status, done.out, "Traceback" in said) == (1, "", False), (done, said)
    assert [word for word in words if word not in said] == [], said
    return said


LACKS = {
    "root": (machine.AS_NOBODY, ["lab up needs root"]),
    "capabilities": (machine.WITHOUT_CAPABILITIES, ["lacks CAP_NET_ADMIN", "run as root", "--privileged"]),
    "cgroup v2": (machine.WITHOUT_CGROUP2, ["cgroup v2 is not mounted", "mount -t cgroup2 none"]),
    "a new kernel": (machine.ON_AN_OLD_KERNEL, ["kernel 2.6.", "is older than 6.1", "boot a kernel from 6.1 up"]),
}


@pytest.mark.parametrize("lack", LACKS)
def test_lab_up_without(lack: str) -> None:
    how, words = LACKS[lack]
    head, *faults = one_message(machine.run(how, "cli", "lab", "up", "--name", LAB, MANIFEST), *words).splitlines()
    assert len(faults) == len(set(faults))
    assert bool(faults) == (f"lab {LAB} cannot be made" in head)
    assert traces(LAB) == []


@pytest.mark.parametrize("lack", [lack for lack in LACKS if lack != "root"])
def test_agent_without(lack: str, tmp_path: Path) -> None:
    how, words = LACKS[lack]
    isolated = [*machine.IN_ITS_OWN_NETWORK, *how]
    assert len(one_message(machine.run(isolated, "agent", *agent(tmp_path)), *words).splitlines()) == 1
    assert not PINS.exists()


@pytest.mark.parametrize("place", ["/proc/nowhere", "file"])
def test_agent_without_bpffs(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bpffs = str(tmp_path / place)
    done = machine.run(machine.IN_ITS_OWN_NETWORK, "agent", *agent(tmp_path, "--bpffs", bpffs))
    assert len(one_message(done, f"cannot make {bpffs}", f"mount -t bpf bpf {bpffs}").splitlines()) == 1


def test_agent_without_bcc(tmp_path: Path) -> None:
    hidden = "import sys\nsys.path[:] = [path for path in sys.path if not path.endswith('dist-packages')]\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = machine.run(machine.IN_ITS_OWN_NETWORK, "agent", *agent(tmp_path), environment=environment)
    one_message(done, "cannot import bcc", "install python3-bpfcc", "--system-site-packages")


def test_uninstall_without_root() -> None:
    one_message(machine.run(machine.AS_NOBODY, "agent", "uninstall", "--instance", LAB), "uninstall needs root")


# ---- a kernel unit that cannot be loaded -----------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """The agent's part of this tree, to be broken."""
    for part in ("agent", "mesh", "bpf"):
        shutil.copytree(ROOT / part, tmp_path / "tree" / part, ignore=shutil.ignore_patterns("__pycache__"))
    yield tmp_path / "tree"
    if PINS.exists():
        shutil.rmtree(PINS)


def break_compiler(tree: Path) -> Sequence[str]:
    unit = tree / "bpf" / "mesh.c"
    unit.write_text(unit.read_text() + "int broken(void) { return nothing_of_that_name; }\n")
    return "does not compile", "mesh.c", "nothing_of_that_name", "install weft again"


def break_verifier(tree: Path) -> Sequence[str]:
    """Reads a packet without looking how long it is."""
    program = tree / "bpf" / "prog" / "to_pod.c"
    head = "int tc_to_pod(struct __sk_buff *skb)\n{\n"
    text = program.read_text()
    assert head in text
    program.write_text(text.replace(head, f"{head}\tif (*(char *)(long)skb->data == 1)\n\t\treturn TC_ACT_SHOT;\n"))
    return "refuses program tc_to_pod (Permission denied)", "invalid access to packet", "6.1, 6.12 or 6.18"


def programs() -> list[int]:
    found = []
    for name in ALL_PROGRAMS:
        descriptor = libbpf.obj_get(str(PINS / "progs" / name))
        found.append(libbpf.program_info(descriptor).id)
        os.close(descriptor)
    return found


@pytest.mark.parametrize("fault", [break_compiler, break_verifier])
def test_a_unit_that_cannot_be_loaded_leaves_nothing(fault: object, copy: Path, tmp_path: Path) -> None:
    assert callable(fault)
    words = fault(copy)
    done = machine.run(machine.IN_ITS_OWN_NETWORK, "agent", *agent(tmp_path), cwd=copy)
    one_message(done, *words, "What was loaded before stays")
    assert not PINS.exists()


def test_a_unit_that_cannot_be_loaded_leaves_the_one_before(copy: Path) -> None:
    load = ("agent.datapath.load", "--instance", LAB)
    assert machine.run([], *load).status == 0
    before = programs()
    for fault in (break_compiler, break_verifier):
        fault(copy)
        assert machine.run([], *load, cwd=copy).status == 1
        assert programs() == before
        assert sorted(part.name for part in PINS.iterdir()) == ["links", "maps", "progs"]


# ---- a disk without room ----------------------------------------------------------------------------------------


def account(name: str, size: int) -> str:
    note = "x" * size
    return f"---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, annotations: {{note: {note}}}}}\n"


def test_a_controller_without_room_on_its_disk_keeps_what_it_has(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with controlplane.controller(tmp_path, machine.with_small_disk(state, 800, 400)) as running:
        assert running.weft("apply", "-f", "-", stdin=account("first", 10)).status == 0
        before = running.status()
        done = running.weft("apply", "-f", "-", stdin="".join(account(f"n{n}", 2000) for n in range(300)))
        assert (done.status, len(done.err.strip().splitlines())) == (3, 1)
        assert "store.db: no space left; free some and try again. What is in force stays" in done.err
        assert running.status() == before
        assert running.weft("get", "serviceaccounts", "-o", "name").out.split() == ["default/first"]
        assert running.log.count("no space left") == 1
        (Path(f"/proc/{running.process.pid}/root") / state.relative_to("/") / "ballast").unlink()
        assert running.weft("apply", "-f", "-", stdin=account("second", 2000)).status == 0
        assert running.status()["objects"]["ServiceAccount"] == 2


def test_down_after_all_of_this_has_nothing_to_do() -> None:
    Cluster(LAB).down()
    assert traces(LAB) == []
