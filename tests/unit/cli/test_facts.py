"""Looking at the machine that runs the tests: the facts must be of it, and nothing may change."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cli.facts import look


def test_the_facts_are_of_this_machine() -> None:
    namespace = os.readlink("/proc/self/ns/net")
    facts = look()
    assert (facts.user_id, facts.kernel) == (os.geteuid(), platform.release())
    assert facts.disk_free_bytes > 0
    mounts = Path("/proc/mounts").read_text()
    assert all(f" {where} cgroup2 " in mounts for where in facts.cgroup2_mounts)
    assert os.readlink("/proc/self/ns/net") == namespace, "looking must not move this process"
