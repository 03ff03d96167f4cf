"""Errors of the kernel carry their errno and the object's name (the calls themselves: tests/bpf)."""

from __future__ import annotations

import errno

import pytest

from agent.datapath import libbpf


def test_the_library_is_here() -> None:
    assert libbpf.available()


def test_a_pin_that_is_not_there_is_named() -> None:
    with pytest.raises(libbpf.KernelError, match="/nowhere/map") as caught:
        libbpf.obj_get("/nowhere/map")
    assert caught.value.errno in (errno.ENOENT, errno.EPERM)


def test_the_kernels_own_not_supported_has_words() -> None:
    assert "not supported" in str(libbpf.KernelError(524, "batch"))


def test_possible_cpus_are_counted() -> None:
    assert libbpf._possible_cpus() >= 1
