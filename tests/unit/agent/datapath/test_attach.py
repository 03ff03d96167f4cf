"""What is wrong with a hook is told in words (attaching itself: tests/bpf)."""

from __future__ import annotations

import pytest

from agent.datapath import attach
from agent.datapath.attach import Filter, Hook, Program

WANTED = [(1, Hook.INGRESS, Program("one", "tc_from_pod", 141))]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], "tc_from_pod on "),
        ([Filter("weft:one:tc_from_pod:141", 1, 1)], ""),
        ([Filter("weft:one:tc_from_pod:7", 1, 1)], "another version"),
        ([Filter("cilium", 1, 1), Filter("weft:one:tc_from_pod:141", 2, 1)], "cilium runs before it"),
    ],
)
def test_a_hook_is_ours_first_and_of_this_version(
    found: list[Filter], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "_filters", lambda _route, _ifindex, _hook: found)
    told = attach.missing(WANTED)
    assert len(told) == bool(text)
    assert all(text in one for one in told)
