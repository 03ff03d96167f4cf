"""The programs are loaded once per session, in an instance and a network namespace of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bpf import programs


@pytest.fixture(scope="session")
def loaded() -> Iterator[programs.Bench]:
    programs.enter_new_namespace()
    bench = programs.start()
    yield bench
    programs.stop(bench)


@pytest.fixture
def bench(loaded: programs.Bench) -> programs.Bench:
    loaded.reset()
    return loaded
