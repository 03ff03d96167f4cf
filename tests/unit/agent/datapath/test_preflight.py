"""What is missing has a name and a remedy."""

from __future__ import annotations

import pytest

from agent.datapath import preflight


@pytest.mark.parametrize(
    ("release", "state"),
    [
        ("6.1.0-56-cloud-amd64", "ok"),
        ("6.18.44", "ok"),
        ("7.0", "ok"),
        ("6.0.9", "fail"),
        ("5.15.0", "fail"),
        ("?", "fail"),
    ],
)
def test_old_kernels_are_refused(release: str, state: str) -> None:
    check = preflight.kernel(release)
    assert check.state == state
    assert (check.todo == "") == (state == "ok")


def test_capabilities_that_lack_are_named() -> None:
    assert preflight.capabilities("CapEff:\t000001ffffffffff\n", 0).state == "ok"
    check = preflight.capabilities("CapEff:\t0000000000001000\n", 0)
    assert check.state == "fail"
    assert "CAP_BPF" in check.detail
    assert "CAP_NET_ADMIN" not in check.detail
    assert "user 1000" in preflight.capabilities("CapEff:\t000001ffffffffff\n", 1000).detail


def test_cgroup_v2_is_found_where_it_is() -> None:
    mounts = "cgroup /sys/fs/cgroup cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    assert preflight.cgroup2(mounts).detail == "cgroup v2 at /sys/fs/cgroup/unified"
    assert preflight.cgroup2("cgroup /sys/fs/cgroup cgroup rw 0 0\n").state == "fail"


def test_a_refusal_tells_every_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [preflight.Check("a", "fail", "no a", "get a"), preflight.Check("b", "warn", "no b")]
    faults.append(preflight.Check("c", "fail", "no c", "get c"))
    monkeypatch.setattr(preflight, "checks", lambda _: faults)
    assert preflight.refusal("/x") == "no a (get a); no c (get c)"
