"""What doctor makes of facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.checks import Check, Facts, State, documents, from_preflight, lines, machine, merged, version, worst

GOOD = Facts(
    user_id=0,
    kernel="6.1.0-18-amd64",
    architecture="x86_64",
    cgroup2_mounts=("/sys/fs/cgroup",),
    bpffs_mounts=("/sys/fs/bpf",),
    filesystems=("bpf", "ext4"),
    bpf_error=None,
    bcc=None,
    interpreter="python3",
    libbpf="libbpf.so.1, v1.1",
    uapi_headers="/usr/include/linux/bpf.h",
    inet_diag=None,
    netns_error=None,
    disk_path="/run",
    disk_free_bytes=10 << 30,
)


def test_a_good_machine_is_all_ok() -> None:
    assert {check.state for check in machine(GOOD)} == {State.OK}


@pytest.mark.parametrize(
    ("fault", "name", "state", "todo"),
    [
        (replace(GOOD, user_id=1000), "root", State.FAIL, "run as root"),
        (replace(GOOD, kernel="5.15.0"), "kernel", State.FAIL, "boot Linux 6.1"),
        (replace(GOOD, bpf_error="Operation not permitted"), "bpf", State.FAIL, "CAP_BPF"),
        (replace(GOOD, cgroup2_mounts=()), "cgroup2", State.FAIL, "mount -t cgroup2"),
        (replace(GOOD, bpffs_mounts=()), "bpffs", State.WARN, "mount -t bpf"),
        (replace(GOOD, bpffs_mounts=(), filesystems=()), "bpffs", State.FAIL, "CONFIG_BPF_SYSCALL"),
        (replace(GOOD, bcc="no module named bcc"), "bcc", State.FAIL, "python3-bpfcc"),
        (replace(GOOD, libbpf=None), "libbpf", State.FAIL, "libbpf1"),
        (replace(GOOD, uapi_headers=None), "headers", State.FAIL, "linux-libc-dev"),
        (replace(GOOD, inet_diag="SOCK_DESTROY: x"), "sock-destroy", State.WARN, "tcp_diag"),
        (replace(GOOD, netns_error="x"), "network namespaces", State.FAIL, "CONFIG_NET_NS"),
        (replace(GOOD, disk_free_bytes=0), "disk space", State.FAIL, "free at least"),
        (replace(GOOD, disk_free_bytes=500 << 20), "disk space", State.WARN, "logs"),
    ],
)
def test_each_fault_is_one_line_with_what_to_do(fault: Facts, name: str, state: State, todo: str) -> None:
    bad = [check for check in machine(fault) if check.state is not State.OK]
    assert [(check.check, check.state) for check in bad] == [(name, state)]
    assert todo in bad[0].todo


@pytest.mark.parametrize(("kernel", "expected"), [("6.18.44-x", (6, 18)), ("6.1", (6, 1)), ("odd", (0, 0))])
def test_versions_are_numbers(kernel: str, expected: tuple[int, int]) -> None:
    assert version(kernel) == expected


def test_a_preflight_line_that_cannot_be_read_fails() -> None:
    good = {"check": "load", "state": "ok", "detail": "3 programs"}
    found = from_preflight([good, {"check": "x", "state": "perhaps"}])
    assert [check.state for check in found] == [State.OK, State.FAIL]
    assert from_preflight([])[0].state is State.FAIL
    assert from_preflight("nonsense")[0].state is State.FAIL


def test_the_worse_of_two_views_is_shown() -> None:
    own, agent = Check("disk space", State.OK, "mine"), Check("disk-space", State.FAIL, "theirs")
    assert merged([own], [agent]) == [agent]
    assert merged([replace(own, state=State.WARN)], [replace(agent, state=State.OK)])[0].detail == "mine"


def test_lines_are_aligned_and_say_what_to_do() -> None:
    shown = lines([Check("a", State.OK, "fine", "hidden"), Check("longer", State.FAIL, "bad", "mend it")], colour=False)
    assert shown == "ok    a       fine\nfail  longer  bad\n              -> mend it"


def test_lines_go_on_under_their_text_on_a_narrow_terminal() -> None:
    shown = lines([Check("a", State.WARN, "one two three", "do this and that")], colour=False, width=18)
    assert shown.splitlines() == [
        "warn  a  one two",
        "         three",
        "         -> do",
        "            this",
        "            and",
        "            that",
    ]
    coloured = lines([Check("a", State.WARN, "one two three", "")], colour=True, width=18)
    assert coloured == "\x1b[33mwarn\x1b[0m  a  one two\n         three"


def test_worst_and_documents() -> None:
    checks = [Check("a", State.OK, ""), Check("b", State.WARN, "d", "t")]
    assert worst(checks) is State.WARN
    assert worst([]) is State.OK
    assert documents(checks)[1] == {"check": "b", "state": "warn", "detail": "d", "todo": "t"}
