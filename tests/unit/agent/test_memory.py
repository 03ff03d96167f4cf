"""The allocator is restrained and trimmed without harm."""

from __future__ import annotations

import ctypes

import pytest

from agent import memory


class FakeLibc:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def mallopt(self, option: int, value: int) -> int:
        self.calls.append(("mallopt", option, value))
        return 1

    def malloc_trim(self, pad: int) -> int:
        self.calls.append(("trim", pad, 0))
        return 1


def test_one_arena_and_thresholds_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    libc = FakeLibc()
    monkeypatch.setattr(memory, "_libc", lambda: libc)
    memory.restrain()
    assert ("mallopt", -8, 1) in libc.calls
    assert {option for _, option, _ in libc.calls} == {-1, -3, -8}
    memory.trim()
    assert libc.calls[-1] == ("trim", 0, 0)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    memory._libc.cache_clear()
    try:
        assert memory._libc() is None
        memory.restrain()
        memory.trim()
    finally:
        memory._libc.cache_clear()


def test_trimming_works_here() -> None:
    memory.trim()
    assert bytearray(1 << 20)
